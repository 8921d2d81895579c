import EscapementModel
import Scheduling

import Glibc

/// Options of `fuzz-cron`.
struct FuzzOptions {
    var seconds = 60
    var seed: UInt64

    init(_ arguments: [String]) throws(BenchError) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        self.seed = UInt64(bitPattern: Int64(time.tv_nsec) ^ Int64(time.tv_sec))
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let text = rest.popFirst() else { throw BenchError("\(name) needs a value") }
            switch name {
            case "--seconds":
                guard let value = Int(text), value > 0 else { throw BenchError("--seconds needs a positive number") }
                self.seconds = value
            case "--seed":
                guard let value = UInt64(text) else { throw BenchError("--seed needs a number") }
                self.seed = value
            default: throw BenchError("unknown option \(name)")
            }
        }
    }
}

/// Throws mutated expressions and zone files at the parser and the search until the time is over. A
/// trap ends the process; every round prints its seed first, which repeats it.
struct CronFuzz {
    let options: FuzzOptions
    private let zones = ZoneDatabase()

    init(options: FuzzOptions) { self.options = options }

    private static let texts = [
        "*/15 0-6/2 1,15,LW,L-3 * MON#1,5L", "H(0-29)/10 H * * H", "cron(0 10 ? * 2-6 2026)", "@every 1w2d3h",
        "rate(5 minutes)", "at(2026-12-24T18:00:00)", "CRON_TZ=Europe/Paris 0 0 * * +FRI", "0 0 0 29 2 ? 2000-2100/4",
        "* * * * *", "22-5/3 NOV-FEB L-2W 7-2 FRI#L", "@daily", "30 2 31 1-12/2 ?",
    ].map { Array($0.unicodeScalars) }
    private static let alphabet = Array(
        "0123456789*/,-?#+LWHhlw()= \t\n@_.:MONJANFRITxé٣\u{0}\u{200d}\u{1f600}T".unicodeScalars)
    private static let zoneNames = [
        "Europe/Paris", "America/New_York", "Africa/Casablanca", "Etc/GMT-14", "Australia/Lord_Howe", "Pacific/Apia",
        "Europe/Dublin", "America/Nuuk", "Antarctica/Troll",
    ]

    func run() throws(BenchError) {
        guard let directory = ZoneDirectory.locate(override: getenv("ESCAPEMENT_TZDIR").map { String(cString: $0) })
        else { throw BenchError("there is no zoneinfo directory to start from") }
        let files = Self.zoneNames.compactMap { directory.bytes(ofZone: $0) }
        guard !files.isEmpty else { throw BenchError("no zone file could be read") }
        write("seed \(self.options.seed), \(self.options.seconds) s\n", to: 1)
        let end = time(nil) + self.options.seconds
        var random = SplitMix(state: self.options.seed)
        var counts = (texts: 0, parsed: 0, files: 0, usable: 0)
        while time(nil) < end {
            write("round \(random.state)\n", to: 1)
            var usable: [ZoneRules] = [.utc]
            for _ in 0..<200 {
                counts.files += 1
                if let rules = self.zone(files, using: &random) {
                    usable.append(rules)
                    counts.usable += 1
                }
            }
            for _ in 0..<5000 {
                counts.texts += 1
                if try self.expression(usable, using: &random) { counts.parsed += 1 }
            }
        }
        let summary =
            "\(counts.texts) expressions (\(counts.parsed) valid), \(counts.files) zone files (\(counts.usable) usable)"
        write(summary + ": no trap\n", to: 1)
    }

    private func zone(_ files: [[UInt8]], using random: inout SplitMix) -> ZoneRules? {
        var bytes = files[Int.random(in: files.indices, using: &random)]
        for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: bytes.indices, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...9, using: &random)))
            case 3:
                // The footer is where the meaning is; hit it more often.
                let tail = max(0, bytes.count - Int.random(in: 1...30, using: &random))
                bytes[tail] = UInt8.random(in: 0x2a...0x5a, using: &random)
            default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
            }
        }
        return try? TZifReader.rules(name: "Fuzz", bytes: bytes)
    }

    /// One text; true when it is an expression.
    private func expression(_ rules: [ZoneRules], using random: inout SplitMix) throws(BenchError) -> Bool {
        var scalars = Self.texts[Int.random(in: Self.texts.indices, using: &random)]
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            let index = Int.random(in: 0...scalars.count, using: &random)
            let scalar = Self.alphabet[Int.random(in: Self.alphabet.indices, using: &random)]
            switch Int.random(in: 0..<4, using: &random) {
            case 0: scalars.insert(scalar, at: index)
            case 1 where index < scalars.count: scalars.remove(at: index)
            case 2 where index < scalars.count:
                scalars.insert(contentsOf: scalars[index..<min(scalars.count, index + 6)], at: index)
            default: if index < scalars.count { scalars[index] = scalar }
            }
        }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        let text = String(view)
        let expression: CronExpression
        do {
            expression = try CronExpression.parse(text, seed: "fuzz", zones: self.zones)
        } catch {
            guard (0...scalars.count).contains(error.position) else {
                throw BenchError("position \(error.position) lies outside '\(text)'")
            }
            return false
        }
        let zone = rules[Int.random(in: rules.indices, using: &random)]
        let from = WallInstant(milliseconds: Int64.random(in: -1_000_000_000_000...8_000_000_000_000, using: &random))
        var position = from
        for _ in 0..<8 {
            guard let next = expression.next(after: position, in: zone, anchor: from) else { break }
            guard next > position else { throw BenchError("'\(text)' goes from \(position) to \(next)") }
            position = next
        }
        if let previous = expression.previous(before: from, in: zone, anchor: from), previous >= from {
            throw BenchError("'\(text)' goes back from \(from) to \(previous)")
        }
        _ = expression.count(after: from, through: position, in: zone, anchor: from)
        guard !expression.text(zoneName: "UTC").isEmpty else { throw BenchError("'\(text)' has no words") }
        return true
    }
}
