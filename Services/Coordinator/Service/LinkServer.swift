import CoordinatorDomain
import EscapementModel
import Logging
import NIOCore
import Observability
import Synchronization
import WireProtocol

/// Accepts links of members and other coordinators, compares what they say of the cluster, and hands them to
/// the leader of this process; without one it names who leads.
final class LinkServer: Sendable {
    /// Links at a time; a cluster has tens.
    static let linksMax = 2048

    private let settings: CoordinatorSettings
    private let clocks: any Clocks
    private let logger: Logger
    /// The leader in this process; `nil` while it does not lead.
    private let leader: @Sendable () -> LeaderShell?
    /// Where the leader accepts links, as the row says.
    private let leaderAddress: @Sendable () -> String?
    private let count = Atomic<Int>(0)

    init(
        settings: CoordinatorSettings, clocks: any Clocks, logger: Logger,
        leader: @escaping @Sendable () -> LeaderShell?, leaderAddress: @escaping @Sendable () -> String?
    ) {
        self.settings = settings
        self.clocks = clocks
        self.logger = logger
        self.leader = leader
        self.leaderAddress = leaderAddress
    }

    /// Serves every link of `listener` until it is closed or the task is cancelled.
    func run(_ listener: any MessageListener) async {
        await withDiscardingTaskGroup { group in
            for await link in listener.links {
                guard self.count.load(ordering: .relaxed) < Self.linksMax else {
                    link.close()
                    continue
                }
                self.count.wrappingAdd(1, ordering: .relaxed)
                group.addTask {
                    await self.serve(link)
                    self.count.wrappingSubtract(1, ordering: .relaxed)
                }
            }
            group.cancelAll()
        }
    }

    private func serve(_ link: any MessageLink) async {
        await withDiscardingTaskGroup { group in
            let isGreeted = Atomic<Bool>(false)
            group.addTask {
                do { try await self.clocks.sleep(for: self.settings.helloWithin) } catch { return }
                if !isGreeted.load(ordering: .acquiring) { link.close() }
            }
            await withTaskCancellationHandler {
                await self.read(link) { isGreeted.store(true, ordering: .releasing) }
            } onCancel: {
                link.close()
            }
            group.cancelAll()
        }
    }

    private func read(_ link: any MessageLink, greeted: () -> Void) async {
        defer { link.close() }
        var served: (leader: LeaderShell, member: AcceptedLink)?
        var ending = LeaderShell.LinkEnding.broken
        for await frame in link.frames {
            do throws(WireError) {
                if let served {
                    if MessageKind(rawValue: frame.kind) == .goodbye {
                        let goodbye = try frame.decode(Goodbye.self)
                        self.logger.debug(
                            "member says goodbye", event: "member_goodbye",
                            [LogKey.peer: .string(link.peer.node.name), LogKey.reason: .string(goodbye.detail)])
                        ending = .goodbye
                        break
                    }
                    guard try await served.leader.handle(frame, from: served.member) else { break }
                } else {
                    let hello = try frame.decode(Hello.self)
                    guard let version = self.check(hello, link), let leader = self.leading(link) else { break }
                    let member = AcceptedLink(link: link, hello: hello, version: version, clocks: self.clocks)
                    greeted()
                    guard await leader.accept(member, version: version) else { break }
                    served = (leader, member)
                }
            } catch {
                self.logger.warning(
                    "unreadable frame", event: "member_frame_unreadable",
                    [LogKey.peer: .string(link.peer.node.name), LogKey.error: .text(error)])
                break
            }
        }
        if let served { await served.leader.closed(served.member, ending) }
    }

    /// The protocol version to speak; `nil` when the link was refused.
    private func check(_ hello: Hello, _ link: any MessageLink) -> UInt32? {
        var differences: [String] = []
        func compare(_ what: String, _ theirs: some CustomStringConvertible, _ ours: some CustomStringConvertible) {
            guard theirs.description != ours.description else { return }
            differences.append("\(what) is \(theirs) there and \(ours) here")
        }
        compare("ESCAPEMENT_CLUSTER_NAME", hello.cluster, self.settings.cluster)
        if link.peer.role != .tool {
            compare("ESCAPEMENT_CLUSTER_SHARDS", hello.shardCount, self.settings.shardCount)
            compare("ESCAPEMENT_CLUSTER_LANES", hello.laneCount, self.settings.laneCount)
        }
        guard differences.isEmpty else {
            self.refuse(link, .settingsMismatch, differences.joined(separator: ", "), level: .warning)
            return nil
        }
        let ours = self.settings.versions
        guard let version = ours.common(with: hello.versions) else {
            self.refuse(
                link, .versionMismatch,
                "protocol versions \(hello.versions.lowest) to \(hello.versions.highest) there, "
                    + "\(ours.lowest) to \(ours.highest) here: upgrade one version at a time", level: .warning)
            return nil
        }
        return version
    }

    private func leading(_ link: any MessageLink) -> LeaderShell? {
        if let leader = self.leader() { return leader }
        let address = self.leaderAddress() ?? ""
        self.refuse(
            link, .notLeader, address.isEmpty ? "no coordinator leads at present" : "the leader is at \(address)",
            leaderAddress: address, level: .debug)
        return nil
    }

    private func refuse(
        _ link: any MessageLink, _ code: HelloRefused.Code, _ detail: String, leaderAddress: String = "",
        level: Logger.Level
    ) {
        self.logger.log(
            level, "link refused", event: "link_refused",
            [
                LogKey.peer: .string(link.peer.node.name), LogKey.peerRole: .string(link.peer.role.rawValue),
                LogKey.reason: .string(detail),
            ])
        link.send(HelloRefused(code: code, detail: detail, leaderAddress: leaderAddress))
        link.close()
    }
}
