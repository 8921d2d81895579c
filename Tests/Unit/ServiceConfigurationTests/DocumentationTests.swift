import ServiceConfiguration
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct DocumentationTests {
    @Test func `docs/configuration.md names every variable that a service reads`() throws {
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let text = try Secret(file: "/\(root)/docs/configuration.md").read()
        let missing = KnownNames.all.filter { !text.contains("`\($0)`") && !text.contains("`\($0)=") }
        // A secret file of a name that is no secret variable does not exist on its own.
        #expect(missing.sorted() == [])
    }
}
