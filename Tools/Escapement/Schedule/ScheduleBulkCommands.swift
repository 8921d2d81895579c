import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement schedule apply`.
struct ScheduleApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Make schedules be as a file of JSON documents says.",
        discussion: "The file holds one document, a list of them, or one per line. What it does not name is left alone."
    )

    @Option(name: .shortAndLong, help: "The file; - is standard input.")
    var file: String

    @Flag(help: "Show what would change, and change nothing.")
    var diff = false

    @Flag(help: "Delete the schedules of the selector that the file does not have.")
    var prune = false

    @Option(name: [.customShort("l"), .customLong("selector")], help: "What --prune may delete: team=billing.")
    var selector: String?

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func validate() throws {
        if self.prune, self.selector == nil { throw ValidationError("--prune needs a selector (-l team=billing)") }
    }

    func run() async throws {
        try await self.client.run { api in
            let documents = try ScheduleDocumentFile.read(self.file)
            let isDryRun = self.write.dryRun || self.diff
            var names: Set<String> = []
            for document in documents {
                let name = document.cell("name")
                names.insert(name)
                let path = "\(api.home)/schedules/\(APIClient.escaped(name))"
                var before: JSONValue?
                do {
                    before = try await api.document(.get, path)
                } catch let failure as ClientFailure where failure.exitCode == ExitStatus.notFound {
                    before = nil
                }
                let after = try await api.document(
                    .put, path, query: [("dryRun", isDryRun ? "true" : nil)], body: document)
                let verb =
                    before == nil
                    ? "created" : before?["generation"] == after["generation"] ? "unchanged" : "changed"
                Console.print("\(verb) \(name)" + (isDryRun ? " (dry run)" : ""))
                if self.diff { self.show(before, after) }
            }
            if self.prune { try await self.prune(api, keeping: names, isDryRun: isDryRun) }
        }
    }

    private func show(_ before: JSONValue?, _ after: JSONValue) {
        for name in ["priority", "labels", "annotations", "when", "target", "policy", "paused"]
        where before?[name] != after[name] {
            Console.print("  \(name)")
            if let old = before?[name] { Console.print("  - \(old.text)") }
            if let new = after[name] { Console.print("  + \(new.text)") }
        }
    }

    private func prune(_ api: APIClient, keeping names: Set<String>, isDryRun: Bool) async throws {
        var others: [String] = []
        try await api.items(
            "\(api.home)/schedules", query: [("labelSelector", self.selector)], limit: ScheduleDocumentFile.documentsMax
        ) { if !names.contains($0.cell("name")) { others.append($0.cell("name")) } }
        for name in others {
            _ = try await api.document(
                .delete, "\(api.home)/schedules/\(APIClient.escaped(name))",
                query: [("dryRun", isDryRun ? "true" : nil)])
            Console.print("deleted \(name)" + (isDryRun ? " (dry run)" : ""))
        }
    }
}

/// Documents of schedules in a file.
enum ScheduleDocumentFile {
    static let documentsMax = 1_000_000

    /// One document, `{"items": […]}`, a list, or one per line.
    static func read(_ file: String) throws -> [JSONValue] {
        let text = try DevFiles.read(file == "-" ? "/dev/stdin" : file)
        var documents: [JSONValue] = []
        if let whole = try? JSONParser.parse(text) {
            documents = whole.arrayValue ?? whole["items"]?.arrayValue ?? [whole]
        } else {
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            where !line.allSatisfy(\.isWhitespace) {
                do {
                    documents.append(try JSONParser.parse(String(line)))
                } catch {
                    throw ClientFailure(ExitStatus.invalid, "escapement: \(file), line \(index + 1): \(error)")
                }
            }
        }
        for (index, document) in documents.enumerated() where document["name"]?.stringValue == nil {
            throw ClientFailure(ExitStatus.invalid, "escapement: \(file): document \(index + 1) has no name")
        }
        return documents
    }
}

/// `escapement schedule export`.
struct ScheduleExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write schedules as JSON lines, for 'import' and for keeping.")

    @Option(name: [.customShort("l"), .customLong("selector")], help: "Only with these labels: team=billing.")
    var selector: String?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    /// What the server adds and an import does not need.
    private static let serverFields: Set<String> = [
        "uid", "namespace", "generation", "createdAt", "createdBy", "updatedAt", "updatedBy", "pause", "status",
    ]

    func run() async throws {
        try await self.client.run { api in
            try await api.items(
                "\(api.home)/schedules", query: [("labelSelector", self.selector)],
                limit: ScheduleDocumentFile.documentsMax
            ) { item in
                let kept = (item.objectValue ?? []).filter { member in
                    !Self.serverFields.contains(member.name) && !(member.name == "paused" && member.value == false)
                }
                Console.print(JSONValue.object(kept).text)
            }
        }
    }
}

/// `escapement schedule import`.
struct ScheduleImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Create or replace schedules from JSON lines. Exit status 8: some were not taken.")

    /// What becomes of names that exist.
    enum Mode: String, CaseIterable, ExpressibleByArgument {
        /// They are left as they are.
        case createOnly = "create-only"
        /// They are replaced.
        case merge
        /// They are replaced, and what the file does not have is deleted.
        case mirror
    }

    @Argument(help: "The file; - is standard input.")
    var file: String

    @Option(help: "create-only, merge (replace what exists) or mirror (delete what the file does not have).")
    var mode = Mode.createOnly

    @Flag(help: "With mirror: do not ask for confirmation.")
    var yes = false

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let documents = try ScheduleDocumentFile.read(self.file)
            let names = Set(documents.map { $0.cell("name") })
            var counts: [String: Int] = [:]
            for document in documents {
                let result = await self.put(api, document)
                counts[result, default: 0] += 1
            }
            if self.mode == .mirror { counts["deleted"] = try await self.deleteOthers(api, names) }
            let text = counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            Console.print(text + (self.write.dryRun ? " (dry run)" : ""))
            if counts["refused"] != nil { throw ExitStatus.partly }
        }
    }

    private func put(_ api: APIClient, _ document: JSONValue) async -> String {
        let name = document.cell("name")
        var headers: HTTPHeaders = [:]
        if self.mode == .createOnly { headers["If-None-Match"] = "*" }
        do {
            let response = try await api.send(
                .put, "\(api.home)/schedules/\(APIClient.escaped(name))", query: self.write.query, body: document.bytes,
                headers: headers)
            return response.status == 201 || self.mode == .createOnly ? "created" : "replaced"
        } catch let failure as ClientFailure {
            if self.mode == .createOnly, failure.exitCode == ExitStatus.conflict { return "left as they were" }
            for line in ["\(name):"] + failure.lines { Console.tell(line) }
            return "refused"
        } catch {
            Console.tell("\(name): \(error)")
            return "refused"
        }
    }

    private func deleteOthers(_ api: APIClient, _ names: Set<String>) async throws -> Int {
        var others: [String] = []
        try await api.items("\(api.home)/schedules", query: [], limit: ScheduleDocumentFile.documentsMax) { item in
            if !names.contains(item.cell("name")) { others.append(item.cell("name")) }
        }
        if others.isEmpty { return 0 }
        if !self.write.dryRun, !self.yes,
            !Console.confirms("delete \(others.count) schedules that the file does not have?")
        {
            throw ClientFailure(ExitStatus.usage, "escapement: nothing was deleted; --yes confirms without asking")
        }
        for name in others {
            _ = try await api.document(
                .delete, "\(api.home)/schedules/\(APIClient.escaped(name))", query: self.write.query)
        }
        return others.count
    }
}
