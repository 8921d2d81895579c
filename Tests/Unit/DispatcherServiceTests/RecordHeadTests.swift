import EscapementModel
import NIOCore
import Testing
import WireProtocol

@testable import DispatcherService

@Suite struct RecordHeadTests {
    private func head(_ key: String?, _ value: String, in blocks: inout RecordBlocks) -> RecordHead {
        RecordHead(capacity: 4096, in: &blocks) { writer in
            if let key { writer.key { $0.write(key) } }
            writer.add("name", value)
        }
    }

    @Test(arguments: [0, 100, 5000, 32_768])
    func `heads lie beside each other, and none in another's place`(size: Int) {
        var blocks = RecordBlocks(size: size)
        // Each has another length, so that blocks end everywhere.
        let values = (0..<60).map { String(repeating: "\($0 % 10)", count: $0 * 7) }
        let heads = values.map { self.head("key \($0.utf8.count)", $0, in: &blocks) }
        for (head, value) in zip(heads, values) {
            #expect(head.headers == [.init("name", value)] && head.headerCount == 1)
            #expect(head.key.map { String(decoding: $0, as: UTF8.self) } == "key \(value.utf8.count)")
            #expect(head == RecordHead(key: "key \(value.utf8.count)", headers: [.init("name", value)]))
        }
    }

    @Test func `a head outlives what made it`() {
        func make() -> [RecordHead] {
            var blocks = RecordBlocks(size: 8192)
            return [self.head("a", "first", in: &blocks), self.head(nil, "second", in: &blocks)]
        }
        let heads = make()
        #expect(heads.map(\.headers) == [[.init("name", "first")], [.init("name", "second")]])
    }

    @Test func `no key is not an empty key`() {
        let none = RecordHead(key: nil, headers: [.init("a", "b")])
        let empty = RecordHead(key: "", headers: [.init("a", "b")])
        #expect(none.key == nil && empty.key?.isEmpty == true)
        #expect(none != empty && none.headers == empty.headers && none.byteCount == empty.byteCount)
        #expect(RecordHead() == RecordHead(key: nil, headers: []) && RecordHead().byteCount == 0)
        #expect(RecordHead(key: "a", headers: []) != RecordHead(key: "b", headers: []))
        #expect(RecordHead(key: "a", headers: []).headers.isEmpty)
        #expect(none != RecordHead(key: nil, headers: [.init("a", "c")]))
        #expect(none != RecordHead(key: nil, headers: [.init("a", "b"), .init("a", "b")]))
    }

    @Test func `a key is written again where it is asked for`() {
        var blocks = RecordBlocks(size: 0)
        let head = RecordHead(capacity: 64, in: &blocks) { writer in
            writer.key { $0.write("team/one") }
            writer.begin("ce_partitionkey", skipping: 3)
            writer.writeKey()
            writer.finish()
        }
        #expect(head.headers == [.init("partitionkey", "team/one")])
    }

    @Test func `records of a round are the same as each on its own`() throws {
        var blocks = RecordBlocks(size: 4096)
        for number in 0..<100 {
            var template = Samples.template
            template.name = String(repeating: "n", count: number)
            template.key = number % 3 == 0 ? "" : String(repeating: "k", count: number * 10)
            template.headers = number % 2 == 0 ? [] : [.init(name: "x-own", value: "\(number)")]
            let fire = Samples.fire(template)
            let alone = try EventFormat().record(of: fire, topic: "t", now: Samples.produced)
            let shared = try EventFormat().record(
                of: fire, topic: "t", now: InstantText(Samples.produced), in: &blocks)
            #expect(shared == alone)
            #expect(alone.key == (template.key.isEmpty ? "guest/\(template.name)" : template.key))
        }
    }
}
