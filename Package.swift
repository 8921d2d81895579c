// swift-tools-version: 6.2
import PackageDescription

// Every target, its path and its dependencies: the architecture in one file. Imports point one way,
// Main -> Service -> Domain -> Scheduling -> EscapementModel; services meet on the wire only, and
// whatever links a C library or opens a socket (a driver) is imported by a Main, a tool or a test.

// Builds for the simulation can do without a defence of the protocol, to prove that the loss is noticed.
let removal: [SwiftSetting] =
    Context.environment["ESCAPEMENT_DEFENCE_REMOVAL"] == "1" ? [.define("DEFENCE_REMOVAL")] : []

let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("ExistentialAny"),
        .treatAllWarnings(as: .error),
    ] + removal

func library(
    _ name: String, _ path: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []
) -> Target {
    .target(name: name, dependencies: dependencies, path: path, resources: resources, swiftSettings: settings)
}

func executable(
    _ name: String, _ path: String, _ dependencies: [Target.Dependency], linker: [LinkerSetting] = []
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, swiftSettings: settings, linkerSettings: linker)
}

func tests(
    _ name: String, _ path: String, _ dependencies: [Target.Dependency], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name, dependencies: ["TestSupport", "EscapementModel"] + dependencies, path: path,
        resources: resources, swiftSettings: settings)
}

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

let shared: [Target] = [
    library("EscapementModel", "Shared/Model"),
    library("JSON", "Shared/JSON"),
    library("Scheduling", "Shared/Schedule", ["EscapementModel"]),
    .target(name: "PageMemory", path: "Shared/PageMemory"),
    .target(name: "TimerSlack", path: "Shared/TimerSlack"),
    library("WireProtocol", "Shared/WireProtocol", ["EscapementModel", nioCore]),
    library("Store", "Shared/Store", ["EscapementModel"]),
    library("ScheduleDocuments", "Shared/ScheduleDocuments", ["EscapementModel", "Scheduling", "JSON"]),
    library("Observability", "Shared/Observability", ["EscapementModel", "JSON", logging]),
    library("ServiceConfiguration", "Shared/Configuration", ["EscapementModel", yams]),
    library("MemberLink", "Shared/MemberLink", ["EscapementModel", "WireProtocol", "Observability", logging]),
    // Drivers.
    library("TLS", "Shared/TLS", ["EscapementModel", "COpenSSL", nioCore, nioTLS]),
    library(
        "Transport", "Shared/Transport",
        [
            "EscapementModel", "WireProtocol", "TLS", "Observability", "ServiceConfiguration", nioCore, nioPosix,
            nioTLS, logging,
        ]),
    library("PostgresStore", "Shared/PostgresStore", ["Store", "EscapementModel", "CLibPQ", logging]),
    library("HTTPClient", "Shared/HTTPClient", ["EscapementModel", "JSON", "CCurl", "CZlib", logging]),
    library(
        "HTTPServer", "Shared/HTTPServer",
        [
            "TLS", "EscapementModel", "Scheduling", "Observability", "ServiceConfiguration", "JSON", "CZlib",
            hummingbird, hummingbirdCore, nioCore,
            nioPosix, logging, lifecycle,
        ]),
    library(
        "Discovery", "Shared/Discovery",
        ["EscapementModel", "HTTPClient", "JSON", "Observability", "ServiceConfiguration", logging, lifecycle]),
    library(
        "Telemetry", "Shared/Telemetry",
        ["EscapementModel", "HTTPClient", "Observability", "ServiceConfiguration", logging, lifecycle]),
    library("KafkaClient", "Shared/KafkaClient", ["EscapementModel", "CRDKafka", logging]),
    library(
        "ElasticsearchStore", "Shared/ElasticsearchStore",
        ["EscapementModel", "HTTPClient", "JSON", "ServiceConfiguration"]),
    .systemLibrary(
        name: "CLibPQ", path: "Shared/CSystem/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(
        name: "CRDKafka", path: "Shared/CSystem/CRDKafka", pkgConfig: "rdkafka",
        providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(
        name: "CCurl", path: "Shared/CSystem/CCurl", pkgConfig: "libcurl",
        providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(
        name: "CZlib", path: "Shared/CSystem/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
        name: "COpenSSL", path: "Shared/CSystem/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
]

let coordinator: [Target] = [
    library("CoordinatorDomain", "Services/Coordinator/Domain", ["EscapementModel", "Scheduling", deque]),
    library(
        "CoordinatorService", "Services/Coordinator/Service",
        [
            "CoordinatorDomain", "EscapementModel", "Store", "WireProtocol", "MemberLink", "Observability", "JSON",
            nioCore, logging, lifecycle,
        ]),
    library(
        "CoordinatorAPI", "Services/Coordinator/API",
        [
            "CoordinatorService", "CoordinatorDomain", "EscapementModel", "Scheduling", "ScheduleDocuments", "Store",
            "WireProtocol", "JSON", "Observability", hummingbird, nioCore, logging,
        ],
        resources: ["index.html", "app.js", "style.css", "icon.svg"].map { .embedInCode("Console/Page/\($0)") }),
    executable(
        "escapement-coordinator", "Services/Coordinator/Main",
        [
            "CoordinatorService", "CoordinatorAPI", "EscapementModel", "Scheduling", "Store", "PostgresStore",
            "Transport", "TLS", "HTTPServer", "HTTPClient", "ServiceConfiguration", "Observability", "Telemetry",
            "WireProtocol", logging, lifecycle, hummingbird, nioPosix,
        ]),
]

let ticker: [Target] = [
    library("TickerDomain", "Services/Ticker/Domain", ["EscapementModel", "Scheduling", "PageMemory", deque, heap]),
    library(
        "TickerService", "Services/Ticker/Service",
        [
            "TickerDomain", "EscapementModel", "Scheduling", "ScheduleDocuments", "JSON", "WireProtocol",
            "MemberLink", "Observability", "TimerSlack", logging, lifecycle, nioCore,
        ]),
    executable(
        "escapement-ticker", "Services/Ticker/Main",
        [
            "TickerService", "MemberLink", "Discovery", "EscapementModel", "Scheduling", "Transport", "TLS",
            "HTTPServer",
            "ServiceConfiguration", "Observability", "WireProtocol", arguments, logging, lifecycle,
        ]),
]

let dispatcher: [Target] = [
    library("DispatcherDomain", "Services/Dispatcher/Domain", ["EscapementModel"]),
    library(
        "DispatcherService", "Services/Dispatcher/Service",
        [
            "DispatcherDomain", "EscapementModel", "WireProtocol", "MemberLink", "Observability", "JSON", logging,
            lifecycle, nioCore,
        ]),
    // A driver: the dispatcher's ports, answered by Kafka.
    library(
        "DispatcherKafka", "Services/Dispatcher/Kafka",
        [
            "DispatcherService", "DispatcherDomain", "EscapementModel", "KafkaClient", "HTTPClient",
            "ServiceConfiguration", "Observability", nioCore, logging, lifecycle,
        ]),
    // A driver: the activation store, answered by Elasticsearch.
    library(
        "DispatcherElasticsearch", "Services/Dispatcher/Elasticsearch",
        [
            "DispatcherService", "EscapementModel", "ElasticsearchStore", "HTTPClient", "ServiceConfiguration",
            "Observability", "JSON", logging,
        ]),
    executable(
        "escapement-dispatcher", "Services/Dispatcher/Main",
        [
            "DispatcherKafka", "DispatcherElasticsearch", "DispatcherService", "DispatcherDomain", "EscapementModel",
            "MemberLink", "Discovery", "KafkaClient", "HTTPClient", "Transport", "TLS", "HTTPServer",
            "ServiceConfiguration", "Observability", "Telemetry", "WireProtocol", "JSON", arguments, logging,
            lifecycle, nioCore, nioPosix,
        ],
        // Its allocator: librdkafka makes a block for each header on one thread and frees it on another, which costs the
        // C library's allocator a third of the processor time.
        linker: [.linkedLibrary("jemalloc", .when(platforms: [.linux]))]),
]

let tools: [Target] = [
    executable(
        "escapement", "Tools/Escapement",
        [
            "EscapementModel", "Scheduling", "ScheduleDocuments", "JSON", "HTTPClient", "PostgresStore", "Store", "TLS",
            "COpenSSL", "CCurl", "KafkaClient", "DispatcherKafka", "DispatcherService", "DispatcherDomain",
            "DispatcherElasticsearch", "ElasticsearchStore", "Observability",
            "ServiceConfiguration", arguments,
            logging,
        ]),
    library(
        "DevKafka", "Tools/DevKafka/Broker", ["EscapementModel", "TLS", "JSON", nioCore, nioPosix, logging]),
    executable(
        "dev-kafka", "Tools/DevKafka/Main",
        [
            "DevKafka", "TLS", "HTTPServer", "ServiceConfiguration", "Observability", "JSON", hummingbird, arguments,
            logging, lifecycle, nioCore,
        ]),
    library(
        "DevElasticsearch", "Tools/DevElasticsearch/Server",
        [
            "EscapementModel", "TLS", "JSON", "HTTPServer", "Observability", "CZlib", hummingbird, nioCore, logging,
            lifecycle,
        ]),
    executable(
        "dev-elasticsearch", "Tools/DevElasticsearch/Main",
        ["DevElasticsearch", "HTTPServer", "TLS", "Observability", hummingbird, arguments, logging, lifecycle]),
]

let testTargets: [Target] = [
    .target(name: "AllocationCount", path: "Benchmarks/AllocationCount"),
    library("TestSupport", "Tests/Support", ["EscapementModel", "WireProtocol", "Store", "Scheduling"]),
    library(
        "PostgresSupport", "Tests/PostgresSupport", ["EscapementModel", "Store", "PostgresStore", logging]),
    library(
        "ElasticsearchSupport", "Tests/ElasticsearchSupport",
        [
            "DevElasticsearch", "ElasticsearchStore", "EscapementModel", "HTTPClient", "HTTPServer",
            "ServiceConfiguration", "TLS", "TestSupport", nioCore, lifecycle, logging, hummingbird,
        ]),
    library(
        "TelemetrySupport", "Tests/TelemetrySupport", ["HTTPServer", "JSON", hummingbird, nioCore, logging]),
    tests(
        "ElasticsearchLiveTests", "Tests/Live/Elasticsearch",
        [
            "ElasticsearchSupport", "ElasticsearchStore", "DevElasticsearch", "DispatcherElasticsearch",
            "DispatcherService", "DispatcherDomain", "HTTPClient", "JSON", "ServiceConfiguration", "TLS", logging,
        ]),
    tests("EscapementModelTests", "Tests/Unit/EscapementModelTests", []),
    tests("JSONTests", "Tests/Unit/JSONTests", ["JSON"]),
    tests(
        "ScheduleDocumentsTests", "Tests/Unit/ScheduleDocumentsTests", ["ScheduleDocuments", "Scheduling", "JSON"]),
    tests("SchedulingTests", "Tests/Unit/SchedulingTests", ["Scheduling"]),
    tests("WireProtocolTests", "Tests/Unit/WireProtocolTests", ["WireProtocol", nioCore]),
    tests("ObservabilityTests", "Tests/Unit/ObservabilityTests", ["Observability", "JSON", logging]),
    tests(
        "ElasticsearchStoreTests", "Tests/Unit/ElasticsearchStoreTests",
        [
            "ElasticsearchStore", "HTTPClient", "DevElasticsearch", "JSON", "ServiceConfiguration", logging,
        ]),
    tests("MemberLinkTests", "Tests/Unit/MemberLinkTests", ["MemberLink", "WireProtocol", logging]),
    tests("ServiceConfigurationTests", "Tests/Unit/ServiceConfigurationTests", ["ServiceConfiguration"]),
    tests(
        "HTTPServerTests", "Tests/Unit/HTTPServerTests",
        [
            "HTTPServer", "HTTPClient", "Observability", "ServiceConfiguration", "JSON", "TLS", hummingbird, nioCore,
            nioPosix, nioEmbedded, logging, lifecycle,
        ]),
    tests(
        "TelemetryTests", "Tests/Unit/TelemetryTests",
        [
            "Telemetry", "TelemetrySupport", "Observability", "ServiceConfiguration", "JSON", logging, lifecycle,
        ]),
    tests("TLSTests", "Tests/Unit/TLSTests", ["TLS", "COpenSSL", nioCore, nioTLS, nioEmbedded, nioPosix]),
    tests(
        "TransportTests", "Tests/Unit/TransportTests",
        ["Transport", "TLS", "WireProtocol", "COpenSSL", nioCore, nioPosix, nioEmbedded, logging]),
    tests(
        "PostgresStoreTests", "Tests/Unit/PostgresStoreTests", ["PostgresStore", "PostgresSupport", "Store", logging]),
    tests(
        "DiscoveryTests", "Tests/Unit/DiscoveryTests",
        [
            "Discovery", "ServiceConfiguration", "HTTPServer", "TLS", "JSON", "Observability", hummingbird, nioCore,
            logging, lifecycle,
        ]),
    tests("HTTPClientTests", "Tests/Unit/HTTPClientTests", ["HTTPClient", nioCore, nioPosix, logging]),
    tests("KafkaClientTests", "Tests/Unit/KafkaClientTests", ["KafkaClient", "DevKafka", "TLS", logging]),
    tests("DevKafkaTests", "Tests/Unit/DevKafkaTests", ["DevKafka", "TLS", "JSON", nioCore, nioPosix, logging]),
    tests(
        "DevElasticsearchTests", "Tests/Unit/DevElasticsearchTests",
        ["DevElasticsearch", "ElasticsearchSupport", "HTTPClient", "JSON", logging]),
    tests("CoordinatorDomainTests", "Tests/Unit/CoordinatorDomainTests", ["CoordinatorDomain", "Scheduling"]),
    tests(
        "CoordinatorServiceTests", "Tests/Unit/CoordinatorServiceTests",
        [
            "CoordinatorService", "CoordinatorAPI", "CoordinatorDomain", "Store", "WireProtocol", "JSON", "Scheduling",
            "MemberLink", "Observability", nioCore, hummingbird, logging, lifecycle,
        ]),
    tests(
        "CoordinatorAPITests", "Tests/Unit/CoordinatorAPITests",
        [
            "CoordinatorAPI", "CoordinatorService", "HTTPServer", "HTTPClient", "Store", "WireProtocol", "JSON",
            "Scheduling", "Observability", nioCore, hummingbird, logging, lifecycle,
        ]),
    tests("TickerDomainTests", "Tests/Unit/TickerDomainTests", ["TickerDomain", "Scheduling", "AllocationCount"]),
    tests(
        "TickerServiceTests", "Tests/Unit/TickerServiceTests",
        [
            "TickerService", "TickerDomain", "DispatcherDomain", "WireProtocol", "MemberLink", "Observability",
            "Scheduling", "TimerSlack", "AllocationCount", nioCore,
        ]),
    tests("DispatcherDomainTests", "Tests/Unit/DispatcherDomainTests", ["DispatcherDomain"]),
    tests(
        "DispatcherServiceTests", "Tests/Unit/DispatcherServiceTests",
        [
            "DispatcherService", "DispatcherDomain", "MemberLink", "Observability", "WireProtocol", "JSON", nioCore,
            logging,
        ]),
    tests(
        "DispatcherKafkaTests", "Tests/Unit/DispatcherKafkaTests",
        [
            "DispatcherKafka", "DispatcherService", "DispatcherDomain", "DevKafka", "KafkaClient", "TLS",
            "HTTPClient", "HTTPServer", "ServiceConfiguration", "Observability", hummingbird, nioCore, logging,
        ]),
    tests(
        "ConformanceTests", "Tests/Conformance", ["Scheduling", "JSON", "Store", "PostgresStore", "PostgresSupport"],
        resources: [.copy("Vectors")]),
    tests(
        "LiveTests", "Tests/Live/Kafka",
        ["KafkaClient", "DispatcherKafka", "ServiceConfiguration", "DevKafka", "TLS", logging]),
    tests(
        "IntegrationTests", "Tests/Integration",
        [
            "HTTPClient", "KafkaClient", "DispatcherKafka", "ServiceConfiguration", "ElasticsearchSupport",
            "PostgresSupport", "TelemetrySupport", "JSON", "WireProtocol", "Transport", "TLS", "COpenSSL",
            "HTTPServer", hummingbird, nioCore, nioPosix, logging,
        ]),
]

let simulation: [Target] = [
    .target(name: "SimulationExecutor", path: "Tests/Simulation/Executor"),
    .executableTarget(
        name: "escapement-simulate",
        dependencies: [
            "SimulationExecutor", "TestSupport", "EscapementModel", "Scheduling", "Store", "WireProtocol", "MemberLink",
            "Observability", "CoordinatorService", "CoordinatorDomain", "TickerService", "DispatcherService",
            "DispatcherDomain", heap, nioCore, arguments, logging,
        ],
        path: "Tests/Simulation", exclude: ["Executor"], swiftSettings: settings),
]

let package = Package(
    name: "escapement",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "escapement", targets: ["escapement"]),
        .executable(name: "escapement-coordinator", targets: ["escapement-coordinator"]),
        .executable(name: "escapement-ticker", targets: ["escapement-ticker"]),
        .executable(name: "escapement-dispatcher", targets: ["escapement-dispatcher"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: shared + coordinator + ticker + dispatcher + tools + testTargets + simulation
)
