import ArgumentParser
import JSON

/// How results are shown.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    /// For people.
    case table
    /// One document, indented.
    case json
    /// One document a line.
    case jsonl
    /// Names only, one a line.
    case name
}

/// Columns of text, as wide as their longest cell.
struct TextTable {
    private var rows: [[String]]

    init(_ header: String...) { self.rows = [header] }

    var isEmpty: Bool { self.rows.count == 1 }

    mutating func add(_ cells: String...) { self.rows.append(cells) }

    var text: String {
        var widths: [Int] = []
        for row in self.rows {
            for (index, cell) in row.enumerated() {
                if index < widths.count {
                    widths[index] = max(widths[index], cell.count)
                } else {
                    widths.append(cell.count)
                }
            }
        }
        return self.rows.map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                line += cell
                if index + 1 < row.count { line += String(repeating: " ", count: widths[index] - cell.count + 2) }
            }
            return line
        }.joined(separator: "\n")
    }
}

/// Prints one object or many in the chosen format.
struct Printer {
    let format: OutputFormat
    /// The member by which an object is called.
    let key: String

    init(_ format: OutputFormat, key: String = "name") {
        self.format = format
        self.key = key
    }

    /// One object; `lines` is what people get.
    func show(_ item: JSONValue, lines: (JSONValue) -> [String]) {
        switch self.format {
        case .json: Console.print(item.prettyText)
        case .jsonl: Console.print(item.text)
        case .name: Console.print(item[self.key]?.stringValue ?? "")
        case .table: for line in lines(item) { Console.print(line) }
        }
    }

    /// Many objects; `table` is what people get.
    func show(_ items: [JSONValue], table: ([JSONValue]) -> TextTable) {
        switch self.format {
        case .json: Console.print(JSONValue.object([JSONMember("items", .array(items))]).prettyText)
        case .jsonl: for item in items { Console.print(item.text) }
        case .name: for item in items { Console.print(item[self.key]?.stringValue ?? "") }
        case .table:
            let table = table(items)
            if table.isEmpty { Console.tell("nothing found") } else { Console.print(table.text) }
        }
    }
}

extension JSONValue {
    /// The member's text, a number as it is written, `-` where there is none.
    func cell(_ name: String) -> String {
        switch self[name] {
        case .string(let text)?: text
        case .number(let text)?: text
        case .bool(let flag)?: "\(flag)"
        default: "-"
        }
    }
}
