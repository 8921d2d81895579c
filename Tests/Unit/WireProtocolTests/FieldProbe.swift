import NIOCore
import WireProtocol

/// Asks a reader for everything, in every way; for tests whose point is that nothing traps.
enum FieldProbe {
    /// Reads fields until the end or an error, each as every type, nested ones too.
    ///
    /// - Returns: the number of fields read.
    @discardableResult static func exhaust(_ reader: FieldReader) -> Int {
        var reader = reader
        var count = 0
        while let field = Self.next(&reader) {
            count += 1
            Self.ignore { try field.unsigned("f", as: UInt8.self) }
            Self.ignore { try field.unsigned("f", as: UInt64.self) }
            Self.ignore { try field.flag("f") }
            Self.ignore { try field.signed("f") }
            Self.ignore { try field.instant("f") }
            Self.ignore { try field.text("f", max: 64) }
            Self.ignore { try field.bytes("f", max: 64) }
            Self.ignore { try field.uid("f") }
            Self.ignore { Self.exhaust(try field.nested("f")) }
        }
        return count
    }

    private static func next(_ reader: inout FieldReader) -> FieldReader.Field? {
        do { return try reader.next() } catch { return nil }
    }

    private static func ignore<Value>(_ read: () throws -> Value) {
        do { _ = try read() } catch { return }
    }
}
