import EscapementModel

/// Values that many records have alike: each distinct one is kept once, under a small number, for as long as
/// somebody has it.
///
/// A shard keeps the payloads and the plans of its schedules and timers so: a record names them in 4 bytes,
/// and 24 bytes and an index entry are kept for each distinct one. Every door is O(1) and one hash of the
/// value; reading needs none.
struct SharedValues<Value: Hashable & Sendable>: Sendable {
    private struct Entry: SlabRecord {
        let value: Value
        let hash: Int
        var users: UInt32

        /// Its hash serves as what a slab finds it by.
        var key: UID { SharedValues.key(self.hash) }
    }

    private var entries = Slab<Entry>()

    /// Distinct values held.
    var count: Int { self.entries.count }
    /// The numbers that may be in use, in order.
    var numbers: Range<UInt32> { self.entries.numbers }

    /// The value of a number; `nil` when nobody has it.
    subscript(number: UInt32) -> Value? { self.entries[number]?.value }

    /// One more has `value`; its number.
    ///
    /// - Precondition: fewer than 2^32 have it.
    mutating func take(_ value: Value) -> UInt32 {
        let hash = value.hashValue
        if let known = self.entries.number(of: Self.key(hash), where: { $1.value == value }) {
            self.entries.update(known) { $0.users += 1 }
            return known
        }
        return self.entries.insert(Entry(value: value, hash: hash, users: 1))
    }

    /// One less has it. The value is forgotten when that was the last.
    mutating func release(_ number: UInt32) {
        guard let users = self.entries[number]?.users else { return }
        if users > 1 { self.entries.update(number) { $0.users -= 1 } } else { self.entries.remove(number) }
    }

    mutating func removeAll() { self = SharedValues() }

    private static func key(_ hash: Int) -> UID { UID(high: UInt64(bitPattern: Int64(hash)), low: 0) }
}

/// A plan, equal to itself alone: those who compile plans hand the same one to all that read alike.
struct SharedPlan: Hashable, Sendable {
    let plan: any OccurrencePlan

    static func == (left: SharedPlan, right: SharedPlan) -> Bool { left.plan === right.plan }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self.plan)) }
}
