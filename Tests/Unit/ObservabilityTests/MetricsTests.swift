import Observability
import Testing

@Suite struct MetricsTests {
    private enum Reason: String, CaseIterable, Hashable, Sendable {
        case paused
        case misfire
    }

    private let registry = MetricsRegistry()

    private func lines(_ format: ExpositionFormat = .prometheusText) -> [String] {
        self.registry.exposition(format).split(separator: "\n").map { String($0) }
    }

    @Test func `counters exist at zero from the start`() {
        _ = self.registry.counter("escapement_a_total", "A.")
        let skips = self.registry.counters("escapement_skips_total", "Skips.", label: "reason", by: Reason.self)
        #expect(
            self.lines() == [
                "# HELP escapement_a_total A.", "# TYPE escapement_a_total counter", "escapement_a_total 0",
                "# HELP escapement_skips_total Skips.", "# TYPE escapement_skips_total counter",
                "escapement_skips_total{reason=\"misfire\"} 0", "escapement_skips_total{reason=\"paused\"} 0",
            ])
        skips[.paused].increment(by: 3)
        #expect(self.lines().contains("escapement_skips_total{reason=\"paused\"} 3"))
    }

    @Test func `help texts and label values are escaped`() {
        let family = self.registry.gauges("escapement_b", "Line one\nback\\slash \"quoted\".", labels: ["x"])
        family.series("a\"b\\c\nd").set(2.5)
        #expect(self.lines()[0] == #"# HELP escapement_b Line one\nback\\slash "quoted"."#)
        #expect(self.lines()[2] == #"escapement_b{x="a\"b\\c\nd"} 2.5"#)
        #expect(self.lines(.openMetrics)[0] == #"# HELP escapement_b Line one\nback\\slash \"quoted\"."#)
    }

    @Test func `a histogram is cumulative, with bounds as Prometheus 3 writes them`() {
        let histogram = self.registry.histogram("escapement_c_seconds", "C.", buckets: HistogramBuckets([0.5, 1, 2.5]))
        for value in [0.5, 0.6, 1, 100] { histogram.observe(value) }
        histogram.observe(.milliseconds(400))
        histogram.observe(2, count: 2)
        histogram.observe(.nan)
        #expect(
            self.lines().dropFirst() == [
                "# TYPE escapement_c_seconds histogram",
                "escapement_c_seconds_bucket{le=\"0.5\"} 2", "escapement_c_seconds_bucket{le=\"1.0\"} 4",
                "escapement_c_seconds_bucket{le=\"2.5\"} 6", "escapement_c_seconds_bucket{le=\"+Inf\"} 7",
                "escapement_c_seconds_sum 106.5", "escapement_c_seconds_count 7",
            ])
    }

    @Test func `the lateness buckets are the documented ones`() {
        let text = HistogramBuckets.lateness.bounds.map { MetricSnapshot.number($0) }.joined(separator: " ")
        #expect(
            text == "0.001 0.002 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 300.0 3600.0")
    }

    @Test func `OpenMetrics names the family without _total and ends in EOF`() {
        self.registry.counter("escapement_d_total", "D.").increment()
        #expect(
            self.lines(.openMetrics) == [
                "# HELP escapement_d D.", "# TYPE escapement_d counter", "escapement_d_total 1", "# EOF",
            ])
    }

    @Test(
        arguments: [
            (nil, ExpositionFormat.prometheusText), ("*/*", .prometheusText), ("text/plain", .prometheusText),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                .openMetrics
            ),
            ("application/openmetrics-text; q=0.2, text/plain; q=0.9", .prometheusText),
            ("application/openmetrics-text;q=0", .prometheusText),
        ] as [(String?, ExpositionFormat)])
    func `the format follows the Accept header`(accept: String?, expected: ExpositionFormat) {
        #expect(ExpositionFormat(accept: accept) == expected)
    }

    @Test func `registering again gives the same metric`() {
        self.registry.counter("escapement_e_total", "E.").increment()
        self.registry.counter("escapement_e_total", "E.").increment()
        #expect(self.lines().contains("escapement_e_total 2"))
    }

    @Test func `label values are bounded; the rest is counted together`() {
        let family = self.registry.counters("escapement_f_total", "F.", labels: ["topic", "error"])
        for index in 0..<1000 { family.series("t\(index)", "e").increment() }
        let series = self.lines().filter { !$0.hasPrefix("#") }
        #expect(series.count == MetricFamily<Counter>.seriesCountMax + 1)
        #expect(
            series.contains(
                "escapement_f_total{topic=\"other\",error=\"other\"} \(1000 - MetricFamily<Counter>.seriesCountMax)"))
    }

    @Test func `a removed series is gone`() {
        let family = self.registry.gauges("escapement_g", "G.", labels: ["member"])
        family.series("a").set(1)
        family.series("b").set(1)
        family.remove("a")
        #expect(self.lines().filter { !$0.hasPrefix("#") } == ["escapement_g{member=\"b\"} 1.0"])
    }

    @Test func `observed gauges are asked on every scrape and may have no value`() {
        self.registry.observedGauge("escapement_h", "H.") { nil }
        self.registry.observedGauge("escapement_i", "I.") { .infinity }
        #expect(self.lines() == ["# HELP escapement_i I.", "# TYPE escapement_i gauge", "escapement_i +Inf"])
    }

    @Test func `concurrent increments are all counted`() async {
        let counter = self.registry.counter("escapement_j_total", "J.")
        let gauge = self.registry.gauge("escapement_k", "K.")
        let histogram = self.registry.histogram("escapement_l", "L.", buckets: HistogramBuckets([1]))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<5000 {
                        counter.increment()
                        gauge.add(1)
                        histogram.observe(0.5)
                    }
                }
            }
        }
        #expect(counter.value == 40_000)
        #expect(gauge.value == 40_000)
        #expect(histogram.snapshot.counts == [40_000, 0])
        #expect(histogram.snapshot.sum == 20_000)
    }

    @Test func `the process shows its build and what the kernel knows of it`() {
        let lines = CollectedLines().observability().metrics.exposition().split(separator: "\n")
        func value(_ name: String) -> Double? {
            lines.first { $0.hasPrefix("\(name) ") }.flatMap { Double($0.dropFirst(name.utf8.count + 1)) }
        }
        #expect(
            lines.contains {
                $0.hasPrefix("escapement_build_info{version=\"\(BuildInformation.version)\"")
                    && $0.hasSuffix("role=\"ticker\"} 1.0")
            })
        #if os(Linux)
        #expect(value("process_resident_memory_bytes").map { $0 > 1_000_000 } == true)
        #expect(value("process_virtual_memory_bytes").map { $0 > 1_000_000 } == true)
        #expect(value("process_start_time_seconds").map { $0 > 1_500_000_000 } == true)
        #expect(value("process_open_fds").map { $0 >= 3 } == true)
        #expect(value("process_threads").map { $0 >= 1 } == true)
        #endif
        #expect(value("process_cpu_seconds_total").map { $0 > 0 } == true)
    }
}
