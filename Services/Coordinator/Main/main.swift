#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

exit(await CoordinatorProcess.main(Array(CommandLine.arguments.dropFirst())))
