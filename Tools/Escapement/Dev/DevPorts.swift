import Glibc
import JSON

/// Which port each listener gets: the one asked for, else the one of the last run, else a free one.
struct DevPorts {
    private var known: [String: Int]
    private var taken: Set<Int> = []
    private let file: String

    init(file: String) {
        self.file = file
        var known: [String: Int] = [:]
        if let text = try? DevFiles.read(file), let members = (try? JSONParser.parse(text))?.objectValue {
            for member in members { known[member.name] = member.value.integerValue.map(Int.init) }
        }
        self.known = known
    }

    /// - Parameter wanted: 0 for any.
    /// - Throws: `DevError` when `wanted` is taken, naming the flag that changes it.
    mutating func port(_ name: String, wanted: Int = 0, flag: String? = nil) throws(DevError) -> Int {
        if wanted != 0 {
            guard Self.isFree(wanted), self.taken.insert(wanted).inserted else {
                let remedy = flag.map { "; choose another one with \($0), or leave the flag out for any free port" }
                throw DevError("port \(wanted) (\(name)) is taken by another program\(remedy ?? "")")
            }
            self.known[name] = wanted
            return wanted
        }
        if let last = self.known[name], !self.taken.contains(last), Self.isFree(last) {
            self.taken.insert(last)
            return last
        }
        for _ in 0..<100 {
            guard let free = Self.freePort() else { break }
            if self.taken.insert(free).inserted {
                self.known[name] = free
                return free
            }
        }
        throw DevError("no free port for \(name)")
    }

    func save() throws(DevError) {
        let members = self.known.sorted { $0.key < $1.key }.map { JSONMember($0.key, .integer($0.value)) }
        try DevFiles.write(JSONValue.object(members).prettyText + "\n", to: self.file)
    }

    static func isFree(_ port: Int) -> Bool { self.bound(port) != nil }

    static func freePort() -> Int? { self.bound(0) }

    /// Binds on the loopback address and lets go; the port.
    private static func bound(_ port: Int) -> Int? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int? in
                guard bind(descriptor, generic, length) == 0, getsockname(descriptor, generic, &length) == 0 else {
                    return nil
                }
                return Int(UInt16(bigEndian: pointer.pointee.sin_port))
            }
        }
    }
}
