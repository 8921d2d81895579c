#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

exit(await DispatcherProcess.main(Array(CommandLine.arguments.dropFirst())))
