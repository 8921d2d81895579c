package import EscapementModel

/// Ticker to leader: I cannot reach the dispatchers that own these lanes. From version 3 on.
///
/// All of them: what is not in the list can be reached, and an empty one ends what was said before. Sent when the list
/// changes, and to a new leader unless it is empty.
package struct LanesUnreachable: WireMessage, Equatable {
    package static let kind = MessageKind.lanesUnreachable
    package var leaderEpoch: Epoch
    /// The runs of the dispatchers' processes, as the view of the lanes names them; in order.
    package var owners: [Incarnation]

    package init(leaderEpoch: Epoch, owners: [Incarnation]) {
        self.leaderEpoch = leaderEpoch
        self.owners = owners
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.leaderEpoch.rawValue)
        for owner in self.owners { writer.uid(2, owner.uid) }
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(leaderEpoch: .none, owners: [])
        while let field = try reader.next() {
            switch field.number {
            case 1: self.leaderEpoch = Epoch(try field.unsigned("unreachable.leaderEpoch"))
            case 2:
                guard self.owners.count < WireLimits.listMax else {
                    throw WireError(.tooMany, field: "unreachable.owners")
                }
                self.owners.append(Incarnation(try field.uid("unreachable.owners")))
            default: continue
            }
        }
    }
}
