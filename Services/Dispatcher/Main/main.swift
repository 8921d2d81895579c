#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import EscapementModel
import HTTPServer
import ServiceConfiguration

let process = ServiceProcess<DispatcherConfiguration>(
    .dispatcher, summary: "publishes what fires to Kafka, exactly once, and records it in Elasticsearch."
) { settings, observability in
    try await DispatcherAssembly(settings, observability: observability).services()
}
exit(await process.main(Array(CommandLine.arguments.dropFirst())))
