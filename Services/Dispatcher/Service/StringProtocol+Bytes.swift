extension StringProtocol {
    /// The beginning of the text, of at most `count` bytes of UTF-8: what is stored is bounded in bytes, and a character
    /// may take any number of them.
    func prefix(bytes count: Int) -> String {
        let bytes = Array(self.utf8.prefix(count + 1))
        if bytes.count <= count { return String(self) }
        // Not in the middle of a scalar.
        var end = count
        while bytes[end] & 0xc0 == 0x80 { end -= 1 }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }
}
