/// An order that cannot be carried out, with the reason.
package struct AdminError: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
