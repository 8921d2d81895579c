import EscapementModel
import HTTPServer
import Logging
import Observability
import Scheduling
import Synchronization
import Testing

@Suite struct ZoneWatchTests {
    /// Zone files that a test replaces.
    private final class Files: ZoneSource {
        private let state = Mutex<(files: [String: [UInt8]], release: String)>(([:], ""))
        func set(_ files: [String: [UInt8]], release: String) { self.state.withLock { $0 = (files, release) } }
        func bytes(ofZone name: String) -> [UInt8]? { self.state.withLock { $0.files[name] } }
        func version() -> String? { self.state.withLock { $0.release } }
        func names() -> [String] { self.state.withLock { $0.files.keys.sorted() } }
    }

    private final class Heard: Sendable {
        let zones = Mutex<[Set<String>]>([])
        let lines = Mutex<[String]>([])
    }

    @Test func `a new release is told once, zone by zone, and what is lost once as well`() throws {
        let berlin = try #require(ZoneDirectory.locate(override: nil)?.bytes(ofZone: "Europe/Berlin"))
        let paris = try #require(ZoneDirectory.locate(override: nil)?.bytes(ofZone: "Africa/Cairo"))
        let files = Files()
        files.set(["A/One": berlin, "A/Two": berlin, "A/Three": berlin], release: "2026a")
        let zones = ZoneDatabase(source: files)
        for name in ["A/One", "A/Two", "A/Three"] { _ = try zones.rules(named: name) }
        let heard = Heard()
        let observability = Observability(
            identity: ProcessIdentity(role: "ticker", instance: "t", cluster: "test"), format: .json,
            sink: LogSink { line in heard.lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } })
        let watch = ZoneWatch(zones: zones, clocks: SystemClocks(), observability: observability) { names in
            heard.zones.withLock { $0.append(names) }
        }
        var lost: Set<String> = []
        watch.look(alreadyLost: &lost)
        #expect(heard.lines.withLock { $0 }.isEmpty)
        files.set(["A/One": berlin, "A/Two": paris], release: "2026b")
        watch.look(alreadyLost: &lost)
        watch.look(alreadyLost: &lost)
        #expect(heard.zones.withLock { $0 } == [["A/Two"]])
        let lines = heard.lines.withLock { $0 }
        #expect(lines.count { $0.contains("zone_lost") && $0.contains("A/Three") } == 1)
        #expect(
            lines.count { $0.contains("zone_changed") && $0.contains("A/Two") && $0.contains("2026a to 2026b") } == 1)
        let text = observability.metrics.exposition(.prometheusText)
        #expect(text.contains(#"escapement_tzdata_info{version="2026b"} 1"#))
        #expect(text.contains(#"escapement_tzdata_info{version="2026a"} 0"#))
    }
}
