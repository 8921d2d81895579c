import NIOCore
import Testing
import WireProtocol

/// Asks a reader for everything, in every way; for tests whose point is that nothing traps.
enum FieldProbe {
    /// What a reader gives.
    private struct Reading: Equatable {
        var numbers: [UInt32] = []
        /// `nil` where a value is of another type.
        var varints: [UInt64?] = []
        var contents: [ByteBuffer?] = []
        /// Instead of the end.
        var error: WireError?

        mutating func take(_ field: FieldReader.Field) {
            self.numbers.append(field.number)
            self.varints.append(try? field.varint("f"))
            self.contents.append(try? field.bytes("f", max: .max))
        }
    }

    /// Reads fields until the end or an error, each as every type, nested ones too. Expects the same of fields that are
    /// read in the place of the one before.
    ///
    /// - Returns: the number of fields read.
    @discardableResult static func exhaust(_ reader: FieldReader) -> Int {
        #expect(Self.readInPlace(reader) == Self.read(reader))
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

    private static func read(_ reader: FieldReader) -> Reading {
        var reader = reader
        var reading = Reading()
        do throws(WireError) {
            while let field = try reader.next() { reading.take(field) }
        } catch {
            reading.error = error
        }
        return reading
    }

    private static func readInPlace(_ reader: FieldReader) -> Reading {
        var reader = reader
        var reading = Reading()
        do throws(WireError) {
            var field = reader.blank
            while try reader.next(&field) { reading.take(field) }
        } catch {
            reading.error = error
        }
        return reading
    }

    private static func next(_ reader: inout FieldReader) -> FieldReader.Field? {
        do { return try reader.next() } catch { return nil }
    }

    private static func ignore<Value>(_ read: () throws -> Value) {
        do { _ = try read() } catch { return }
    }
}
