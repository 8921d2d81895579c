/// What `escapement kafka` needs: the part of a dispatcher's settings that speaks of Kafka.
package struct KafkaToolConfiguration: ReadableConfiguration {
    package var cluster: ClusterSettings
    package var kafka: KafkaSettings
    package var defaultTopic: String
    package var deadLetterTopic: String

    package init(reading reader: inout ConfigurationReader) {
        self.cluster = ClusterSettings(reading: &reader)
        self.kafka = KafkaSettings(reading: &reader, instance: "escapement-kafka")
        self.defaultTopic = DispatcherConfiguration.topic(
            "ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC", DispatcherConfiguration.defaultTopicName, &reader)
        self.deadLetterTopic = DispatcherConfiguration.topic(
            "ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC", DispatcherConfiguration.deadLetterTopicName, &reader)
    }
}
