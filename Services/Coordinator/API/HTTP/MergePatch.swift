import JSON

/// JSON Merge Patch (RFC 7396).
enum MergePatch {
    /// `target` with `patch` applied: objects merge, `null` removes, anything else replaces. New members keep
    /// the patch's order behind those that were there.
    static func apply(_ patch: JSONValue, to target: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var members: [JSONMember] = if case .object(let members) = target { members } else { [] }
        for change in changes {
            let index = members.firstIndex { $0.name == change.name }
            switch (change.value, index) {
            case (.null, let index?): members.remove(at: index)
            case (.null, nil): break
            case (let value, let index?): members[index].value = self.apply(value, to: members[index].value)
            // Applied to nothing, so that a `null` inside does not stay.
            case (let value, nil): members.append(JSONMember(change.name, self.apply(value, to: .null)))
            }
        }
        return .object(members)
    }
}
