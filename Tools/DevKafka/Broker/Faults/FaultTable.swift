/// The faults on order, the oldest first.
struct FaultTable {
    /// Faults on order at a time.
    static let faultsMax = 1000

    private(set) var faults: [(id: Int, fault: Fault)] = []
    private var nextID = 1

    /// - Returns: `false` when too many are on order.
    mutating func add(_ fault: Fault) -> Bool {
        guard self.faults.count < Self.faultsMax else { return false }
        self.faults.append((self.nextID, fault))
        self.nextID += 1
        return true
    }

    mutating func removeAll() { self.faults = [] }

    /// Takes the first fault for a request.
    mutating func take(api: APIKey, broker: Int32, clientID: String?) -> Fault? {
        guard
            let index = self.faults.firstIndex(where: {
                $0.fault.applies(to: api, broker: broker, clientID: clientID)
            })
        else { return nil }
        let fault = self.faults[index].fault
        self.faults[index].fault.count -= 1
        if self.faults[index].fault.count == 0 { self.faults.remove(at: index) }
        return fault
    }

    /// Puts a fault back that met no partition of its topic.
    mutating func putBack(_ fault: Fault) {
        var one = fault
        one.count = 1
        self.faults.insert((self.nextID, one), at: 0)
        self.nextID += 1
    }
}
