import EscapementModel
import JSON
import Scheduling
import Testing

/// Offsets and resolutions of civil times, from an independent reader of the same data.
@Suite struct TimeZoneVectorTests {
    static let zones = ZoneDatabase()

    @Test func `offsets are those of the vectors`() throws {
        for vector in try VectorFile("timezones.json", key: "utcToOffset").vectors {
            let zone = try Self.zones.rules(named: vector.string("zone"))
            let second = Int(try vector.instant("utc").milliseconds / 1000)
            #expect(Int64(zone.offset(atSecond: second)) == vector["offset"]?.integerValue, "\(vector.text)")
        }
    }

    @Test func `civil times mean what the vectors say`() throws {
        for vector in try VectorFile("timezones.json", key: "localToInstants").vectors {
            let zone = try Self.zones.rules(named: vector.string("zone"))
            let local = try #require(WallInstant(text: vector.string("local") + "Z"))
            let resolution = zone.resolution(ofCivil: Int(local.milliseconds / 1000))
            let (kind, instants): (String, [Int]) =
                switch resolution {
                case .unique(let instant): ("unique", [instant])
                case .gap: ("gap", [])
                case .overlap(let instants): ("overlap", instants)
                }
            #expect(kind == (try vector.string("kind")), "\(vector.text)")
            #expect(instants == (try vector.instants("instants")).map { Int($0.milliseconds / 1000) }, "\(vector.text)")
            #expect(resolution.instant == Int(try vector.instant("resolved").milliseconds / 1000), "\(vector.text)")
        }
    }
}
