/// One value of a field, in the form in which it is compared.
enum FieldValue: Hashable, Sendable {
    case string(String)
    case integer(Int64)
    case double(Double)
    case boolean(Bool)
    /// Unix time, milliseconds.
    case date(Int64)
}

/// A field's number within its index, and one of its values in a document.
struct Posting: Sendable {
    var field: UInt16
    var value: FieldValue
}

/// One version of a document. Its source stays in the log; what can be searched is here.
final class StoredDocument: Sendable {
    let id: String
    let version: Int64
    let sequenceNumber: Int64
    let source: RecordLog.Location
    /// In the order of the source; several of one field when it is an array.
    let postings: [Posting]

    init(id: String, version: Int64, sequenceNumber: Int64, source: RecordLog.Location, postings: [Posting]) {
        self.id = id
        self.version = version
        self.sequenceNumber = sequenceNumber
        self.source = source
        self.postings = postings
    }

    /// The first value of `field`. O(postings).
    func first(_ field: UInt16) -> FieldValue? { self.postings.first { $0.field == field }?.value }

    func values(_ field: UInt16) -> [FieldValue] { self.postings.filter { $0.field == field }.map(\.value) }
}
