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

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
    name: "escapement",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "escapement-bench", targets: ["escapement-bench"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "EscapementModel", path: "Shared/Model", swiftSettings: settings),
        .target(name: "JSON", path: "Shared/JSON", swiftSettings: settings),
        .target(
            name: "Scheduling", dependencies: ["EscapementModel"], path: "Shared/Schedule", swiftSettings: settings),
        .target(name: "PageMemory", path: "Shared/PageMemory"),
        .target(name: "TimerSlack", path: "Shared/TimerSlack"),
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
        .systemLibrary(
            name: "CRDKafka", path: "Shared/CSystem/CRDKafka", pkgConfig: "rdkafka",
            providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(
            name: "COpenSSL", path: "Shared/CSystem/COpenSSL", pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CCurl", path: "Shared/CSystem/CCurl", pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(
            name: "CZlib", path: "Shared/CSystem/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "HTTPClient", dependencies: ["EscapementModel", "JSON", "CCurl", "CZlib", logging],
            path: "Shared/HTTPClient", swiftSettings: settings),
        .target(name: "KafkaYardstick", dependencies: ["CRDKafka"], path: "KafkaYardstick"),
        .target(
            name: "WireProtocol", dependencies: ["EscapementModel", nioCore], path: "Shared/WireProtocol",
            swiftSettings: settings),
        .target(
            name: "Observability", dependencies: ["EscapementModel", "JSON", logging], path: "Shared/Observability",
            swiftSettings: settings),
        .target(
            name: "ServiceConfiguration",
            dependencies: ["EscapementModel", .product(name: "Yams", package: "Yams")], path: "Shared/Configuration",
            swiftSettings: settings),
        .target(
            name: "MemberLink", dependencies: ["EscapementModel", "WireProtocol", "Observability", logging],
            path: "Shared/MemberLink", swiftSettings: settings),
        .target(
            name: "TLS", dependencies: ["EscapementModel", "COpenSSL", nioCore, nioTLS], path: "Shared/TLS",
            swiftSettings: settings),
        .target(
            name: "Transport",
            dependencies: [
                "EscapementModel", "WireProtocol", "TLS", "Observability", "ServiceConfiguration", nioCore, nioPosix,
                nioTLS, logging,
            ],
            path: "Shared/Transport", swiftSettings: settings),
        .target(
            name: "KafkaClient", dependencies: ["EscapementModel", "CRDKafka", logging], path: "Shared/KafkaClient",
            swiftSettings: settings),
        .target(
            name: "DispatcherDomain", dependencies: ["EscapementModel"], path: "Services/Dispatcher/Domain",
            swiftSettings: settings),
        .target(
            name: "DispatcherService",
            dependencies: [
                "DispatcherDomain", "EscapementModel", "WireProtocol", "MemberLink", "Observability", "JSON", logging,
                lifecycle, nioCore,
            ],
            path: "Services/Dispatcher/Service", swiftSettings: settings),
        .target(
            name: "DispatcherKafka",
            dependencies: [
                "DispatcherService", "DispatcherDomain", "EscapementModel", "KafkaClient", "HTTPClient",
                "ServiceConfiguration", "Observability", nioCore, logging, lifecycle,
            ],
            path: "Services/Dispatcher/Kafka", swiftSettings: settings),
        .target(
            name: "ScheduleDocuments", dependencies: ["EscapementModel", "Scheduling", "JSON"],
            path: "Shared/ScheduleDocuments", swiftSettings: settings),
        .target(
            name: "TickerService",
            dependencies: [
                "TickerDomain", "EscapementModel", "Scheduling", "ScheduleDocuments", "JSON", "WireProtocol",
                "MemberLink", "Observability", "TimerSlack", logging, lifecycle, nioCore,
            ],
            path: "Services/Ticker/Service", swiftSettings: settings),
        .executableTarget(
            name: "escapement-bench",
            dependencies: [
                "EscapementModel", "JSON", "Scheduling", "TickerDomain", "TickerService", "TimerSlack",
                "AllocationCount", "Store",
                "PostgresStore", "HTTPClient", "DispatcherDomain", "DispatcherService", "DispatcherKafka",
                "KafkaClient",
                "KafkaYardstick", "TLS", "Transport", "Observability", "ServiceConfiguration", "WireProtocol", nioCore,
                nioPosix, logging,
            ],
            path: "Bench", swiftSettings: settings),
    ]
)
