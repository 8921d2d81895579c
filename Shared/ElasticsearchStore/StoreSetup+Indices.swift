import JSON

/// OpenWhisk's indices may be there before our template: made by OpenWhisk itself, with a mapping that follows from
/// its documents. Our part of a document has to be mapped in them before the first of our documents, or it would
/// become text that no search of ours finds.
extension StoreSetup {
    /// An index beside what is wanted of it.
    struct ExistingIndex {
        var name: String
        var comparison: MappingComparison
        /// `nil` where mappings have no type.
        var type: String?

        private var what: String { "mapping of index \(self.name)" }

        var findings: [Finding] {
            var findings = self.comparison.conflicts.map {
                Finding(what: self.what, state: .conflicts($0))
            }
            if self.comparison.lacking != nil {
                findings.append(Finding(what: "\(self.what) for our records", state: .missing))
            }
            return findings
        }
    }

    /// The indices of OpenWhisk's form that exist; `nil` when these credentials may not look at their mappings.
    func existingIndices(
        _ client: ElasticsearchClient, _ server: StoreServer
    ) async throws(ElasticsearchError) -> [ExistingIndex]? {
        guard case .openWhisk = self.form else { return [] }
        let path = "/\(self.names.indexPattern)/_mapping?ignore_unavailable=true&allow_no_indices=true"
        let answer: Visible?
        do throws(ElasticsearchError) {
            answer = try await Self.visible(path, client, doing: "reading the mappings of indices")
        } catch {
            // An index for all namespaces, which is not there yet.
            if error.status == 404 { return [] }
            throw error
        }
        guard let answer else { return nil }
        guard case .found(let found) = answer else { return [] }
        let wanted = ActivationTemplate.openWhiskMapping(server)
        return (found.objectValue ?? []).map { index in
            self.existingIndex(index.name, index.value["mappings"] ?? [:], wanted, server)
        }
    }

    private func existingIndex(
        _ name: String, _ mappings: JSONValue, _ wanted: JSONValue, _ server: StoreServer
    ) -> ExistingIndex {
        var found = mappings
        if let type = server.documentType {
            let typed = mappings.objectValue?.first
            found = typed?.value ?? [:]
            if let other = typed?.name, other != type {
                // An index has one type; a document of another one is refused.
                let comparison = MappingComparison(conflict: "its documents have the type \(other), not \(type)")
                return ExistingIndex(name: name, comparison: comparison, type: type)
            }
        }
        return ExistingIndex(
            name: name,
            comparison: MappingComparison(
                found: found, wanted: wanted, exactBelow: ActivationTemplate.openWhiskPart),
            type: server.documentType)
    }

    func checkIndices(
        _ client: ElasticsearchClient, _ server: StoreServer
    ) async throws(ElasticsearchError) -> [Finding] {
        guard case .openWhisk = self.form else { return [] }
        let what = "mappings of indices \(self.names.indexPattern)"
        guard let indices = try await self.existingIndices(client, server) else {
            return [Finding(what: what, state: .hidden)]
        }
        let findings = indices.flatMap(\.findings)
        return findings.isEmpty ? [Finding(what: "\(what), \(indices.count) of them", state: .right)] : findings
    }

    /// Puts what the mappings lack.
    ///
    /// - Returns: what was put. An index that refuses its part, for it has too many fields, is left as it is: the next
    ///   check names it.
    func applyToIndices(
        _ client: ElasticsearchClient, _ server: StoreServer
    ) async throws(ElasticsearchError) -> [String] {
        var made: [String] = []
        for index in try await self.existingIndices(client, server) ?? [] {
            guard let lacking = index.comparison.lacking else { continue }
            let what = "mapping of index \(index.name) for our records"
            let path = "/\(index.name)/_mapping" + (index.type.map { "/\($0)" } ?? "")
            do throws(ElasticsearchError) {
                try await client.put(path, lacking, doing: "putting the \(what)")
                made.append(what)
            } catch {
                guard error.status == 400 else { throw error }
            }
        }
        return made
    }
}
