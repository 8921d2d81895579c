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
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "EscapementModel", path: "Shared/Model", swiftSettings: settings),
        .target(name: "JSON", path: "Shared/JSON", swiftSettings: settings),
        .target(
            name: "Scheduling", dependencies: ["EscapementModel"], path: "Shared/Schedule", swiftSettings: settings),
        .target(name: "PageMemory", path: "Shared/PageMemory"),
        .target(
            name: "TickerDomain",
            dependencies: [
                "EscapementModel", "Scheduling", "PageMemory",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            path: "Services/Ticker/Domain",
            // The wheel's callers in the product live in its own module and have it compiled into them; so has the
            // benchmark.
            swiftSettings: settings + [
                .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
            ]),
        .target(name: "AllocationCount", path: "AllocationCount"),
        .target(name: "Store", dependencies: ["EscapementModel"], path: "Shared/Store", swiftSettings: settings),
        .systemLibrary(
            name: "CLibPQ", path: "Shared/CSystem/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(
            name: "PostgresStore",
            dependencies: ["Store", "EscapementModel", "CLibPQ", .product(name: "Logging", package: "swift-log")],
            path: "Shared/PostgresStore", swiftSettings: settings),
        .executableTarget(
            name: "escapement-bench",
            dependencies: [
                "EscapementModel", "JSON", "Scheduling", "TickerDomain", "AllocationCount", "Store", "PostgresStore",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Bench", swiftSettings: settings),
    ]
)
