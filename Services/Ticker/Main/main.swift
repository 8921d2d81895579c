#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import EscapementModel
import HTTPServer
import ServiceConfiguration

let process = ServiceProcess<TickerConfiguration>(
    .ticker, summary: "holds shards of schedules and timers, and decides what is due, to the millisecond."
) { settings, observability in
    try TickerAssembly(settings, observability: observability).services()
}
exit(await process.main(Array(CommandLine.arguments.dropFirst())))
