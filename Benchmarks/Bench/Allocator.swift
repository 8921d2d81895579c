import Glibc

/// What a process gets its memory from.
enum Allocator {
    /// The C library.
    case system
    /// What the dispatcher links.
    case dispatcher

    private static let library = "libjemalloc.so.2"
    private static let variable = "LD_PRELOAD="

    /// The environment of a program that runs with it.
    var environment: [String] {
        var entries: [String] = []
        var place = environ
        while let entry = place.pointee {
            entries.append(String(cString: entry))
            place += 1
        }
        entries.removeAll { $0.hasPrefix(Self.variable) }
        if self == .dispatcher { entries.append(Self.variable + Self.library) }
        return entries
    }

    /// Starts this process's program anew with the dispatcher's allocator, if it does not have it.
    ///
    /// - Returns: whether it has; false when there is none on this machine.
    static func becomeDispatchers() throws(BenchError) -> Bool {
        if dlopen(Self.library, RTLD_NOLOAD | RTLD_LAZY) != nil { return true }
        let isSecondStart = getenv("LD_PRELOAD").map { String(cString: $0) == Self.library } ?? false
        if isSecondStart { return false }
        withCStrings(CommandLine.arguments) { words in
            withCStrings(Self.dispatcher.environment) { _ = execve("/proc/self/exe", words, $0) }
        }
        throw BenchError("this program does not start again: \(String(cString: strerror(errno)))")
    }

    /// What to do where there is none.
    static let remedy = "\(library) cannot be loaded; install the package libjemalloc2"
}

/// A list of texts as C takes it, ended by a null pointer.
func withCStrings<Result>(
    _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let copies: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer { body($0.baseAddress!) }
}
