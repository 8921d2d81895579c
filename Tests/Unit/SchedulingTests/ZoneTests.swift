import EscapementModel
import Foundation
import Scheduling
import TestSupport
import Testing

@Suite struct ZoneTests {
    static let zones = ZoneDatabase()

    @Test(arguments: [
        "", "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC", "Europe//Paris", "Europe/", "localtime", "posixrules",
        "Factory", "posix/UTC", "right/UTC", "Europe", "zone.tab", "tzdata.zi", "europe/paris", "+02:00", "UTC+3",
        "CET-1CEST,M3.5.0,M10.5.0/3",
    ])
    func `what is not the name of a zone is refused`(name: String) {
        #expect(throws: ZoneError.self) { try Self.zones.rules(named: name) }
    }

    @Test(arguments: [
        ("europe/paris", "Europe/Paris"), ("Europe/Pari", "Europe/Paris"), ("Paris", "Europe/Paris"),
        ("Europe/Prais", "Europe/Paris"), ("America/New York", "America/New_York"), ("new_york", "America/New_York"),
        ("utc", "UTC"),
    ])
    func `the name that was meant is suggested`(name: String, meant: String) {
        let error = #expect(throws: ZoneError.self) { try Self.zones.rules(named: name) }
        #expect(error?.suggestion == meant)
    }

    @Test func `nothing is suggested for nonsense`() {
        let error = #expect(throws: ZoneError.self) { try Self.zones.rules(named: "Mars/Olympus_Mons") }
        #expect(error?.suggestion == nil)
    }

    /// `zdump` reads the same files with the C library's code.
    @Test func `the offsets of every zone are those of the C library`() throws {
        let tool = "/usr/bin/zdump"
        guard FileManager.default.isExecutableFile(atPath: tool), let source = ZoneDirectory.locate(override: nil)
        else {
            return
        }
        let names = Self.zones.names()
        #expect(names.count > 300)
        for range in [(1970, 2040), (2195, 2201)] {
            for start in stride(from: 0, to: names.count, by: 100) {
                let part = Array(names[start..<min(start + 100, names.count)])
                try self.compare(part, years: range, tool: tool, directory: source.path)
            }
        }
    }

    /// Checks every change that `zdump` lists for the years, and that there are no others.
    private func compare(_ names: [String], years: (Int, Int), tool: String, directory: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = ["-i", "-c", "\(years.0),\(years.1)"] + names.map { "\(directory)/\($0)" }
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let low = try #require(CivilDate(year: years.0, month: 1, day: 1)).dayNumber * 86_400
        let high = try #require(CivilDate(year: years.1, month: 1, day: 1)).dayNumber * 86_400
        var index = -1
        var listed: [Int: Int] = [:]
        func finish() throws {
            guard index >= 0 else { return }
            let zone = try Self.zones.rules(named: names[index])
            var own: [Int: Int] = [:]
            for change in zone.changes(in: low + 1..<high) { own[change.at] = change.offset }
            #expect(own == listed, "\(names[index])")
        }
        var offset: Int?
        for line in output.split(separator: 0x0a) {
            if line.starts(with: "TZ=".utf8) {
                try finish()
                index += 1
                listed = [:]
                offset = nil
                continue
            }
            let columns = line.split(separator: 0x09, omittingEmptySubsequences: false)
            guard columns.count >= 3, let new = Self.offset(columns[2]) else { continue }
            defer { offset = new }
            guard let date = CivilDate(text: String(decoding: columns[0], as: UTF8.self)),
                let clock = Self.offset([0x2b] + columns[1])
            else { continue }
            let instant = date.dayNumber * 86_400 + clock - new
            if instant > low, instant < high, offset != new { listed[instant] = new }
        }
        try finish()
        #expect(index == names.count - 1)
    }

    /// `+05`, `-0330`, `+13:45:00`: as `zdump -i` writes offsets and times.
    private static func offset(_ text: some Sequence<UInt8>) -> Int? {
        let bytes = Array(text)
        guard let sign = bytes.first, sign == 0x2b || sign == 0x2d else { return nil }
        let digits = bytes.dropFirst().filter { (48...57).contains($0) }.map { Int($0 - 48) }
        guard digits.count == 2 || digits.count == 4 || digits.count == 6 else { return nil }
        var seconds = 0
        for (place, unit) in zip(stride(from: 0, to: digits.count, by: 2), [3600, 60, 1]) {
            seconds += (digits[place] * 10 + digits[place + 1]) * unit
        }
        return sign == 0x2d ? -seconds : seconds
    }

    // MARK: Files

    /// A version 2 file with the transitions and the footer given.
    static func file(
        initial: Int32, transitions: [(Int64, Int32)] = [], footer: String = "", version: UInt8 = 0x32
    ) -> [UInt8] {
        func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
            withUnsafeBytes(of: value.bigEndian) { Array($0) }
        }
        let types = [initial] + transitions.map(\.1)
        var bytes: [UInt8] = []
        for isSecond in [false, true] {
            bytes += Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15)
            let count = isSecond ? transitions.count : 0
            bytes += big(UInt32(0)) + big(UInt32(0)) + big(UInt32(0)) + big(UInt32(count))
            bytes += big(UInt32(isSecond ? types.count : 1)) + big(UInt32(4))
            if isSecond {
                for transition in transitions { bytes += big(transition.0) }
                for index in transitions.indices { bytes.append(UInt8(index + 1)) }
                for type in types { bytes += big(type) + [0, 0] }
            } else {
                bytes += big(initial) + [0, 0]
            }
            bytes += Array("ABC".utf8) + [0]
        }
        return bytes + [0x0a] + Array(footer.utf8) + [0x0a]
    }

    @Test func `a rule without transitions governs all time, permanent daylight time included`() throws {
        let berlin = try TZifReader.rules(
            name: "X", bytes: Self.file(initial: 3600, footer: "CET-1CEST,M3.5.0,M10.5.0/3"))
        let real = try Self.zones.rules(named: "Europe/Berlin")
        for second in stride(from: 1_600_000_000, to: 7_200_000_000, by: 86_400 * 3) {
            #expect(berlin.offset(atSecond: second) == real.offset(atSecond: second))
        }
        let permanent = try TZifReader.rules(
            name: "X", bytes: Self.file(initial: -18_000, footer: "EST5EDT,0/0,J365/25"))
        #expect(permanent.changes(in: 0..<7_200_000_000).isEmpty)
        #expect(permanent.offset(atSecond: 1_700_000_000) == -14_400)
    }

    @Test func `negative daylight time, quoted names and times beyond a day are understood`() throws {
        let dublin = try TZifReader.rules(name: "X", bytes: Self.file(initial: 0, footer: "IST-1GMT0,M10.5.0,M3.5.0/1"))
        #expect(dublin.offset(atSecond: 1_720_000_000) == 3600)
        #expect(dublin.offset(atSecond: 1_704_067_200) == 0)
        let nuuk = try TZifReader.rules(
            name: "X", bytes: Self.file(initial: 0, footer: "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"))
        let real = try Self.zones.rules(named: "America/Nuuk")
        for second in stride(from: 1_750_000_000, to: 3_000_000_000, by: 40_000) {
            #expect(nuuk.offset(atSecond: second) == real.offset(atSecond: second))
        }
    }

    @Test(arguments: [
        "", "CET", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,J0,J365", "CET-1CEST,366,1", "CET-1CEST,0/168,1", "C-1", "<CET-1", "CET-1CEST,M3.5.0,M10.5.0/3,",
    ])
    func `a damaged footer is refused, an empty one is not`(footer: String) throws {
        if footer.isEmpty {
            _ = try TZifReader.rules(name: "X", bytes: Self.file(initial: 0, footer: footer))
        } else {
            #expect(throws: TZifReader.Fault.self) {
                try TZifReader.rules(name: "X", bytes: Self.file(initial: 0, footer: footer))
            }
        }
    }

    @Test func `version 1, leap seconds and disorder are refused`() {
        var leap = Self.file(initial: 0)
        leap[31] = 1
        let refused = [
            Self.file(initial: 0, version: 0), leap, Self.file(initial: 100_000), Array("TZif".utf8),
            Self.file(initial: 0, transitions: [(10, 1), (10, 2)]), Self.file(initial: 0).dropLast(),
        ]
        for bytes in refused {
            #expect(throws: TZifReader.Fault.self) { try TZifReader.rules(name: "X", bytes: Array(bytes)) }
        }
    }

    @Test func `mutated zone files give rules or a fault, never a trap, and the search survives the rules`() throws {
        var random = SeededRandom(seed: 6)
        let directory = try #require(ZoneDirectory.locate(override: nil))
        let originals = ["Europe/Paris", "America/New_York", "Africa/Casablanca", "Etc/GMT-14"]
            .compactMap { directory.bytes(ofZone: $0) }
        let expressions = try ["30 2 * * *", "*/20 * * * *"].map {
            try CronExpression.parse($0, seed: nil, zones: Self.zones)
        }
        var usable = 0
        for _ in 0..<1500 {
            var bytes = try #require(originals.randomElement(using: &random))
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...9, using: &random)))
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                }
                if bytes.isEmpty { break }
            }
            guard let rules = try? TZifReader.rules(name: "X", bytes: bytes) else { continue }
            usable += 1
            for expression in expressions {
                var position = WallInstant(milliseconds: Int64.random(in: 0...7_000_000_000_000, using: &random))
                for _ in 0..<5 {
                    guard let next = expression.next(after: position, in: rules, anchor: position) else { break }
                    #expect(next > position)
                    position = next
                }
                _ = expression.previous(before: position, in: rules, anchor: position)
            }
        }
        #expect(usable > 100, "most mutations should leave a file that can be read")
    }

    @Test func `a reload reports what changed from when, and keeps a zone whose file is lost`() throws {
        let source = ChangingSource()
        source.set([
            "A/One": Self.file(initial: 0, footer: "CET-1"), "A/Two": Self.file(initial: 0, footer: "CET-1"),
            "A/Three": Self.file(initial: 0, footer: "CET-1"),
        ])
        let zones = ZoneDatabase(source: source)
        for name in ["A/One", "A/Two", "A/Three"] { _ = try zones.rules(named: name) }
        #expect(zones.reload().changes.isEmpty)
        source.set([
            "A/One": Self.file(initial: 0, footer: "CET-1"),
            "A/Two": Self.file(initial: 3600, transitions: [(1_800_000_000, 7200)], footer: "EET-2"),
        ])
        let changes = zones.reload().changes
        #expect(changes.map(\.zone) == ["A/Three", "A/Two"])
        #expect(changes.map(\.isLost) == [true, false])
        #expect(changes.last?.fromSecond == 1_800_000_000)
        #expect(try zones.rules(named: "A/Two").offset(atSecond: 1_900_000_000) == 7200)
        #expect(try zones.rules(named: "A/Three").offset(atSecond: 1_900_000_000) == 3600)
    }
}

/// A source whose files a test replaces.
final class ChangingSource: ZoneSource, @unchecked Sendable {
    private let lock = NSLock()
    private var files: [String: [UInt8]] = [:]

    func set(_ files: [String: [UInt8]]) { self.lock.withLock { self.files = files } }
    func bytes(ofZone name: String) -> [UInt8]? { self.lock.withLock { self.files[name] } }
    func version() -> String? { nil }
    func names() -> [String] { self.lock.withLock { self.files.keys.sorted() } }
}
