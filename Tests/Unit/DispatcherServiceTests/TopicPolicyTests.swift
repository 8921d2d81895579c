import DispatcherService
import Testing

@Suite struct TopicPolicyTests {
    @Test(arguments: [
        ("escapement.fires", true), ("team.a", true), ("team.", false), ("xteam.a", false), ("other", false),
        ("escapement.deadletters", false), ("escapement.test.journal", false), ("__consumer_offsets", false),
    ])
    func `a tenant may name only what the operator allows`(topic: String, isAllowed: Bool) {
        #expect(Samples.rules.topics.allows(topic) == isAllowed)
    }

    @Test func `internal topics are refused whatever the pattern says`() {
        let policy = TopicPolicy(
            defaultTopic: "f", deadLetterTopic: "d", pattern: ".*", internalPrefix: "escapement.test.")
        #expect(policy.allows("anything"))
        #expect(!policy.allows("escapement.test.journal"))
        #expect(!policy.allows("d"))
        #expect(!policy.allows("__transaction_state"))
    }

    @Test func `a pattern that does not compile allows nothing`() {
        let policy = TopicPolicy(defaultTopic: "f", deadLetterTopic: "d", pattern: "(", internalPrefix: "i.")
        #expect(!policy.allows("anything"))
        #expect(policy.allows("f"))
    }
}
