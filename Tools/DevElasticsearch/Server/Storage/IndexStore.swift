import EscapementModel
import JSON

/// One index: its documents, what searches see of them, and the log that both come from.
///
/// A change is visible to a get at once and to searches after a refresh, as on the real server.
struct IndexStore: Sendable {
    private struct Entry: Sendable {
        /// `nil` once deleted; the entry goes with the next refresh.
        var live: StoredDocument?
        var version: Int64
        /// Where searches see a version of it.
        var slot: Int?
    }

    /// Names of fields that documents may have together, those below `flattened` ones included.
    private static let fieldNumberCountMax = 20_000
    /// Repeated values that are kept once.
    private static let internedCountMax = 4096

    let name: String
    let uuid: String
    let createdAt: WallInstant
    let log: RecordLog
    private(set) var settings: IndexSettings
    private(set) var mapping: Mapping
    /// Name and properties.
    private(set) var aliases: [String: JSONValue] = [:]

    private(set) var fieldNumbers: [String: UInt16] = [:]
    private(set) var slots: [StoredDocument?] = []
    private var entries: [String: Entry] = [:]
    private var holeCount = 0
    private var changed: Set<String> = []
    private var firstChangeAt: MonotonicInstant?
    private var nextSequenceNumber: Int64 = 0
    private var interned: Set<String> = []

    /// Makes a new index with its file.
    init(
        name: String, uuid: String, createdAt: WallInstant, settings: IndexSettings, mapping: Mapping,
        aliases: [String: JSONValue], path: String
    ) throws {
        self.name = name
        self.uuid = uuid
        self.createdAt = createdAt
        self.settings = settings
        self.mapping = mapping
        self.aliases = aliases
        self.log = try RecordLog(path: path) { _, _, _ in }
        self.log.append([
            JSONMember("op", "open"), JSONMember("format", 1), JSONMember("index", .string(name)),
            JSONMember("uuid", .string(uuid)), JSONMember("created", .integer(createdAt.milliseconds)),
            JSONMember("settings", settings.flat()), JSONMember("mapping", mapping.json),
            JSONMember("aliases", Self.json(aliases)),
        ])
        try self.log.flush()
    }

    /// Opens the index in `path` with everything that was written to it, all of it visible to searches.
    ///
    /// - Throws: `IndexFileError` for a file that is none of ours, `RecordLogError`.
    init(opening path: String) throws {
        var head: JSONValue?
        var later: [(header: JSONValue, source: [UInt8], location: RecordLog.Location)] = []
        self.log = try RecordLog(path: path) { header, payload, location in
            if head == nil {
                head = header
            } else {
                later.append((header, Array(payload), location))
            }
        }
        guard let head, head["op"]?.stringValue == "open", head["format"]?.integerValue == 1,
            let name = head["index"]?.stringValue, let uuid = head["uuid"]?.stringValue,
            let created = head["created"]?.integerValue
        else { throw IndexFileError(path: path) }
        self.name = name
        self.uuid = uuid
        self.createdAt = WallInstant(milliseconds: created)
        self.settings = try IndexSettings(head["settings"] ?? [:])
        self.mapping = try Mapping(head["mapping"] ?? [:])
        self.aliases = Self.aliases(head["aliases"])
        for record in later { try self.replay(record.header, record.source, record.location, path: path) }
        self.refresh()
    }

    private mutating func replay(
        _ header: JSONValue, _ source: [UInt8], _ location: RecordLog.Location, path: String
    ) throws {
        switch header["op"]?.stringValue {
        case "index":
            guard let id = header["id"]?.stringValue, let version = header["version"]?.integerValue,
                let sequence = header["seq"]?.integerValue
            else { throw IndexFileError(path: path) }
            let parser = try DocumentParser(source, id: id, mapping: self.mapping)
            self.mapping = parser.mapping
            let document = StoredDocument(
                id: id, version: version, sequenceNumber: sequence, source: location,
                postings: try self.postings(parser.values))
            self.put(document)
            self.nextSequenceNumber = max(self.nextSequenceNumber, sequence + 1)
        case "delete":
            guard let id = header["id"]?.stringValue, let version = header["version"]?.integerValue,
                let sequence = header["seq"]?.integerValue
            else { throw IndexFileError(path: path) }
            self.entries[id]?.live = nil
            self.entries[id]?.version = version
            self.changed.insert(id)
            self.nextSequenceNumber = max(self.nextSequenceNumber, sequence + 1)
        case "mapping": self.mapping = try Mapping(header["mapping"] ?? [:])
        case "settings": self.settings = try IndexSettings(header["settings"] ?? [:])
        case "aliases": self.aliases = Self.aliases(header["aliases"])
        default: throw IndexFileError(path: path)
        }
    }

    // MARK: Documents

    var documentCount: Int { self.entries.values.count { $0.live != nil } }

    /// The newest version of a document.
    func document(_ id: String) -> StoredDocument? { self.entries[id]?.live }

    func source(of document: StoredDocument) throws(ElasticsearchError) -> [UInt8] {
        do {
            return try self.log.read(document.source)
        } catch {
            throw ElasticsearchError(500, "i_o_exception", "\(error)")
        }
    }

    /// Adds or replaces a document; the caller has checked what must hold before, and flushes the log.
    ///
    /// - Throws: a 400 when the source does not fit the mapping.
    mutating func write(
        _ source: [UInt8], id: String, now: MonotonicInstant
    ) throws(ElasticsearchError) -> (document: StoredDocument, isNew: Bool) {
        let parser = try DocumentParser(source, id: id, mapping: self.mapping)
        let postings = try self.postings(parser.values)
        if parser.mapping != self.mapping {
            self.mapping = parser.mapping
            self.log.append([JSONMember("op", "mapping"), JSONMember("mapping", self.mapping.json)])
        }
        let isNew = self.entries[id]?.live == nil
        let version = (self.entries[id]?.version ?? 0) + 1
        let sequence = self.takeSequenceNumber()
        let location = self.log.append(
            [
                JSONMember("op", "index"), JSONMember("id", .string(id)), JSONMember("version", .integer(version)),
                JSONMember("seq", .integer(sequence)),
            ], payload: source)
        let document = StoredDocument(
            id: id, version: version, sequenceNumber: sequence, source: location, postings: postings)
        self.put(document)
        self.firstChangeAt = self.firstChangeAt ?? now
        return (document, isNew)
    }

    /// - Returns: the version and sequence number of the deletion, or `nil` when there was nothing to delete.
    mutating func delete(_ id: String, now: MonotonicInstant) -> (version: Int64, sequenceNumber: Int64)? {
        guard let entry = self.entries[id], entry.live != nil else { return nil }
        let sequence = self.takeSequenceNumber()
        self.entries[id]?.live = nil
        self.entries[id]?.version = entry.version + 1
        self.changed.insert(id)
        self.firstChangeAt = self.firstChangeAt ?? now
        self.log.append([
            JSONMember("op", "delete"), JSONMember("id", .string(id)),
            JSONMember("version", .integer(entry.version + 1)), JSONMember("seq", .integer(sequence)),
        ])
        return (entry.version + 1, sequence)
    }

    /// Makes all changes visible to searches. O(changes).
    mutating func refresh() {
        for id in self.changed {
            guard let entry = self.entries[id] else { continue }
            if let document = entry.live {
                if let slot = entry.slot {
                    self.slots[slot] = document
                } else {
                    self.entries[id]?.slot = self.slots.count
                    self.slots.append(document)
                }
            } else {
                if let slot = entry.slot {
                    self.slots[slot] = nil
                    self.holeCount += 1
                }
                self.entries[id] = nil
            }
        }
        self.changed = []
        self.firstChangeAt = nil
        if self.holeCount > 1024, self.holeCount > self.slots.count / 2 { self.closeHoles() }
    }

    /// Refreshes when the oldest unseen change has waited for `interval`.
    mutating func refreshIfDue(now: MonotonicInstant, default interval: Duration) {
        guard let since = self.firstChangeAt, let interval = self.settings.refreshInterval(default: interval),
            now >= since.advanced(by: interval)
        else { return }
        self.refresh()
    }

    private mutating func put(_ document: StoredDocument) {
        self.entries[document.id, default: Entry(version: 0)].live = document
        self.entries[document.id]?.version = document.version
        self.changed.insert(document.id)
    }

    private mutating func takeSequenceNumber() -> Int64 {
        defer { self.nextSequenceNumber += 1 }
        return self.nextSequenceNumber
    }

    private mutating func closeHoles() {
        self.slots = self.slots.filter { $0 != nil }
        self.holeCount = 0
        for (slot, document) in self.slots.enumerated() {
            if let document { self.entries[document.id]?.slot = slot }
        }
    }

    private mutating func postings(
        _ values: [(path: String, value: FieldValue)]
    ) throws(ElasticsearchError) -> [Posting] {
        var postings: [Posting] = []
        postings.reserveCapacity(values.count)
        for (path, value) in values {
            postings.append(Posting(field: try self.number(of: path), value: self.intern(value)))
        }
        return postings
    }

    private mutating func number(of path: String) throws(ElasticsearchError) -> UInt16 {
        if let number = self.fieldNumbers[path] { return number }
        guard self.fieldNumbers.count < Self.fieldNumberCountMax else {
            throw .illegalArgument("Limit of total fields [\(Self.fieldNumberCountMax)] has been exceeded")
        }
        let number = UInt16(self.fieldNumbers.count)
        self.fieldNumbers[path] = number
        return number
    }

    /// Most values repeat: names of schedules, outcomes, dispatchers.
    private mutating func intern(_ value: FieldValue) -> FieldValue {
        guard case .string(let text) = value, text.utf8.count > 15, text.utf8.count <= 64 else { return value }
        if let index = self.interned.firstIndex(of: text) { return .string(self.interned[index]) }
        if self.interned.count < Self.internedCountMax { self.interned.insert(text) }
        return value
    }

    // MARK: Metadata

    mutating func putMapping(_ update: JSONValue) throws(ElasticsearchError) {
        try self.mapping.merge(update)
        self.log.append([JSONMember("op", "mapping"), JSONMember("mapping", self.mapping.json)])
    }

    mutating func putSettings(_ update: IndexSettings) throws(ElasticsearchError) {
        try self.settings.change(update, index: self.name, uuid: self.uuid)
        self.log.append([JSONMember("op", "settings"), JSONMember("settings", self.settings.flat())])
    }

    /// - Parameter properties: `nil` removes the alias.
    mutating func setAlias(_ alias: String, _ properties: JSONValue?) {
        self.aliases[alias] = properties
        self.log.append([JSONMember("op", "aliases"), JSONMember("aliases", Self.json(self.aliases))])
    }

    var aliasesJSON: JSONValue { Self.json(self.aliases) }

    /// As `GET index` shows them.
    var systemSettings: [String: JSONValue] {
        [
            "index.creation_date": .string("\(self.createdAt.milliseconds)"), "index.uuid": .string(self.uuid),
            "index.provided_name": .string(self.name), "index.version.created": "8517003",
            "index.number_of_shards": .string("\(self.settings.shardCount)"),
            "index.number_of_replicas": .string("\(self.settings.replicaCount)"),
        ]
    }

    private static func json(_ aliases: [String: JSONValue]) -> JSONValue {
        .object(aliases.sorted { $0.key < $1.key }.map { JSONMember($0.key, $0.value) })
    }

    private static func aliases(_ json: JSONValue?) -> [String: JSONValue] {
        Dictionary(json?.objectValue?.map { ($0.name, $0.value) } ?? [], uniquingKeysWith: { $1 })
    }
}

/// A file in the data directory is not an index of ours, or of another version.
struct IndexFileError: Error, CustomStringConvertible {
    var path: String
    var description: String { "\(self.path) is not an index file of this version" }
}
