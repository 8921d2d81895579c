#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import EscapementModel
import HTTPServer
import ServiceConfiguration

let process = ServiceProcess<CoordinatorConfiguration>(
    .coordinator, summary: "the API, who leads, who is there, who owns which shard. Run at least two."
) { settings, observability in
    try await CoordinatorAssembly(settings, observability: observability).services()
}
exit(await process.main(Array(CommandLine.arguments.dropFirst())))
