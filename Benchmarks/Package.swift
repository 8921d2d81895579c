// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody else pays for it. It compiles the product's modules from a
// link to their sources, because what they offer each other is visible inside one package only.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "escapement",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "escapement-bench", targets: ["escapement-bench"])],
    dependencies: [.package(url: "https://github.com/apple/swift-collections", from: "1.6.0")],
    targets: [
        .target(name: "EscapementModel", path: "Shared/Model", swiftSettings: settings),
        .target(name: "JSON", path: "Shared/JSON", swiftSettings: settings),
        .target(
            name: "Scheduling", dependencies: ["EscapementModel"], path: "Shared/Schedule", swiftSettings: settings),
        .target(
            name: "TickerDomain",
            dependencies: [
                "EscapementModel", "Scheduling", .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            path: "Services/Ticker/Domain", swiftSettings: settings),
        .target(name: "AllocationCount", path: "AllocationCount"),
        .executableTarget(
            name: "escapement-bench",
            dependencies: ["EscapementModel", "JSON", "Scheduling", "TickerDomain", "AllocationCount"],
            path: "Bench", swiftSettings: settings),
    ]
)
