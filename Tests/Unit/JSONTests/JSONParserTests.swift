import JSON
import Testing

@Suite struct JSONParserTests {
    @Test(arguments: [
        "null", "true", "[1,2.5e-3,-0]", #"{"a":{"b":[]},"limit":9007199254740993}"#, #""\u00e9\n\"\\""#, "{}",
    ])
    func `a document survives a round trip`(text: String) throws {
        let value = try JSONParser.parse(text)
        #expect(try JSONParser.parse(value.text) == value)
        #expect(try JSONParser.parse(value.prettyText) == value)
    }

    @Test func `numbers keep their text and members their order`() throws {
        let text = #"{"z":9007199254740993,"a":1.10}"#
        #expect(try JSONParser.parse(text).text == text)
    }

    @Test func `surrogate pairs become one scalar`() throws {
        #expect(try JSONParser.parse(#""\ud83d\ude00""#) == .string("😀"))
    }

    @Test(arguments: [
        ("", 0), ("{", 1), ("[1,]", 3), ("[1 2]", 3), (#"{"a":1,"a":2}"#, 7), ("01", 1), ("1.", 2), ("nul", 0),
        ("\"a\nb\"", 2), (#""\ud83d""#, 7), (#""\x""#, 2), ("1 2", 2), ("{a:1}", 1), ("+1", 0),
    ])
    func `what is not JSON is refused at the byte`(text: String, offset: Int) {
        #expect { try JSONParser.parse(text) } throws: { ($0 as? JSONError)?.offset == offset }
    }

    @Test func `nesting is bounded`() {
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(throws: JSONError.self) { try JSONParser.parse(deep) }
        #expect(throws: Never.self) { try JSONParser.parse(deep, depthMax: 40) }
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(throws: JSONError.self) { try JSONParser.parse([0x22, 0xff, 0x22]) }
    }
}
