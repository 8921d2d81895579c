import JSON
import Logging
import Observability
import Testing

@Suite struct LogLineTests {
    private let lines = CollectedLines()

    @Test func `a line is one JSON object with the stable fields`() throws {
        let logger = self.lines.observability().logger("shards")
        logger.info(
            "shard taken", event: "shard_assigned",
            [LogKey.shard: .number(UInt16(173)), LogKey.reason: "planned", LogKey.epoch: .text(89)])
        let line = try #require(try self.lines.documents().first)
        #expect(line["ts"] == "2026-11-22T03:02:10.412418Z")
        #expect(line["level"] == "info")
        #expect(line["msg"] == "shard taken")
        #expect(line["event"] == "shard_assigned")
        #expect(line["service"] == "escapement")
        #expect(line["role"] == "ticker")
        #expect(line["instance"] == "ticker-0")
        #expect(line["cluster"] == "test")
        #expect(line["version"] == .string(BuildInformation.version))
        #expect(line["shard"] == 173)
        #expect(line["epoch"] == "89")
        #expect(line["reason"] == "planned")
    }

    @Test func `hostile content cannot break the line or fake another field`() throws {
        let hostile = "a\"b\\c\n{\"event\":\"fake\"}\u{0}\u{1b}[31m\u{2028}é😀"
        var logger = self.lines.observability().logger("x")
        logger[metadataKey: "event\"\n"] = .string(hostile)
        logger.warning(
            "constant", event: "hostile",
            [
                "level": "critical", "ts": "1970", "nested": ["k\n": ["\"", .stringConvertible(1.5)]],
                "text": "\(hostile)",
            ])
        let bytes = try #require(self.lines.all.first)
        #expect(bytes.filter { $0 == 0x0a }.count == 1)
        #expect(bytes.last == 0x0a)
        let line = try JSONParser.parse(bytes)
        #expect(line["event"] == "hostile")
        #expect(line["level"] == "warning")
        #expect(line["field_level"] == "critical")
        #expect(line["field_ts"] == "1970")
        #expect(line["text"] == .string(hostile))
        #expect(line["nested"]?["k\n"]?[1] == .number("1.5"))
    }

    @Test(arguments: [LogFormat.json, .text])
    func `a line never exceeds what one write to a pipe takes`(format: LogFormat) throws {
        let logger = self.lines.observability(format: format).logger("x")
        var metadata: Logger.Metadata = [:]
        for index in 0..<50 { metadata["key\(index)"] = .string(String(repeating: "\u{1}é", count: 3000)) }
        logger.log(level: .error, "\(String(repeating: "\u{2}", count: 100_000))", metadata: metadata)
        let bytes = try #require(self.lines.all.first)
        #expect(bytes.count <= LogLine.byteCountMax)
        #expect(bytes.filter { $0 == 0x0a }.count == 1)
        if format == .json {
            let line = try JSONParser.parse(bytes)
            #expect(line["truncated"] == true)
            #expect(line["event"] == "library_message")
        }
    }

    @Test func `text for a terminal escapes control characters and quotes values`() throws {
        let logger = self.lines.observability(format: .text).logger("x")
        logger.info("started", event: "started", ["a": "two words", "b": "x\u{1b}[2Jy\nz", "c": "plain", "d": ""])
        let text = String(decoding: try #require(self.lines.all.first), as: UTF8.self)
        #expect(
            text
                == "2026-11-22T03:02:10.412418Z INFO     started event=started a=\"two words\" "
                + #"b=x\u{1b}[2Jy\nz c=plain d="""# + "\n")
    }

    @Test func `an error of a log statement becomes two fields`() throws {
        struct Broken: Error {}
        let logger = self.lines.observability().logger("x")
        logger.error("broken", error: Broken())
        let line = try #require(try self.lines.documents().first)
        #expect(line["error_type"] == "Broken")
        #expect(line["error"] == "Broken()")
    }

    @Test func `the level changes while loggers live, and a logger may keep its own`() throws {
        let observability = self.lines.observability(level: .info)
        let logger = observability.logger("x")
        var quiet = observability.logger("y")
        quiet.logLevel = .error
        logger.debug("not written", event: "no")
        observability.logLevel.level = .debug
        logger.debug("written", event: "yes")
        quiet.warning("not written", event: "no")
        observability.logLevel.level = .critical
        logger.error("not written", event: "no")
        #expect(try self.lines.documents().map { $0["event"] } == ["yes"])
    }

    @Test func `metadata of a suppressed statement is not computed`() {
        let logger = self.lines.observability(level: .info).logger("x")
        var evaluations = 0
        func expensive() -> Logger.Metadata {
            evaluations += 1
            return [:]
        }
        logger.debug("no", event: "no", expensive())
        #expect(evaluations == 0)
        logger.info("yes", event: "yes", expensive())
        #expect(evaluations == 1)
    }
}
