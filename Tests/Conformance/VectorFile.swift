import EscapementModel
import Foundation
import JSON
import Testing

/// A file of vectors; the formats are described in `Vectors/cron/README.md`.
struct VectorFile {
    var vectors: [JSONValue]

    /// Reads `Vectors/NAME`, whose vectors are the elements of `key`.
    init(_ name: String, key: String = "vectors") throws {
        let folder = try #require(Bundle.module.resourceURL)
        let bytes = try Data(contentsOf: folder.appending(path: "Vectors/\(name)"))
        let document = try JSONParser.parse(bytes)
        self.vectors = try #require(document[key]?.arrayValue)
        #expect(!self.vectors.isEmpty)
    }
}

extension JSONValue {
    /// The string member `name`; the test fails without it.
    func string(_ name: String) throws -> String {
        try #require(self[name]?.stringValue, "no string '\(name)' in \(self.text)")
    }

    /// The instant member `name`.
    func instant(_ name: String) throws -> WallInstant {
        try #require(WallInstant(text: try self.string(name)), "no instant '\(name)' in \(self.text)")
    }

    /// The instants of the array member `name`.
    func instants(_ name: String) throws -> [WallInstant] {
        try #require(self[name]?.arrayValue, "no array '\(name)' in \(self.text)").map { element in
            try #require(element.stringValue.flatMap { WallInstant(text: $0) })
        }
    }
}
