import HTTPClient
import Testing

@Suite struct AddressGuardTests {
    @Test(arguments: [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fd00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:db8::1",
        "2001::1", "not an address", "",
    ])
    func `private, local and special addresses are not public`(address: String) {
        #expect(!AddressGuard.isPublic(text: address))
    }

    @Test(arguments: [
        "1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1",
        "192.167.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2001:4860:4860::8888",
    ])
    func `the others are`(address: String) {
        #expect(AddressGuard.isPublic(text: address))
    }
}
