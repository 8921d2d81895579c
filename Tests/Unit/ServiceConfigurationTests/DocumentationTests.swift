import ServiceConfiguration
import Testing

@Suite struct DocumentationTests {
    @Test func `docs/configuration-reference.md is what 'escapement config reference' prints`() throws {
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let text = try Secret(file: "/\(root)/docs/configuration-reference.md").read()
        #expect(text + "\n" == ConfigurationReference.markdown())
    }

    @Test func `every setting has a meaning and every variable that is read stands in the reference`() {
        #expect(ConfigurationReference.gaps == [])
        let text = ConfigurationReference.markdown()
        // Other people's names of a whole setting are in docs/configuration.md.
        let missing = KnownNames.services.filter { !$0.hasPrefix("CONFIG_whisk_") && !text.contains("`\($0)`") }
        #expect(missing.sorted() == [])
    }
}
