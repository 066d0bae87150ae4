import Foundation
import Testing

@testable import Monitor

@Suite struct FindingTests {
    private static func machine(
        available: Int? = 8 << 30, group: Int? = nil, files: Int? = 1024, clock: Bool? = true, time: Double = 1.8e9
    ) -> MachineFacts {
        MachineFacts(
            availableMemory: available, groupMemory: group, openFiles: files, isClockSynchronized: clock, time: time)
    }

    @Test func linesStandBelowEachOtherAndTheVerdictCounts() {
        var findings = Findings([Finding("keys", "a pair"), Finding("address", .warning, "low", mend: "raise it")])
        #expect(findings.lines[0].hasPrefix("ok       keys     a pair"))
        #expect(findings.lines[1] == "warning  address  low: raise it")
        #expect(findings.verdict == "nothing stands against it, 1 warning" && findings.firstFailure == nil)
        findings.add(Finding("data", .failed, "no\nsuch \u{1B}[1mfile", exitCode: 4))
        findings.add(Finding("plan", .failed, "bad", exitCode: 2))
        #expect(findings.firstFailure?.exitCode == 4)
        #expect(findings.verdict == "2 of 4 checks failed, 1 warning")
        #expect(!findings.lines[2].contains("\n") && !findings.lines[2].contains("\u{1B}"))
    }

    @Test func memoryIsTheLeastOfMachineAndControlGroup() {
        #expect(Finding.memory(Self.machine(), needed: 1 << 30, what: "a worker").outcome == .ok)
        let group = Finding.memory(Self.machine(group: 700 << 20), needed: 1 << 30, what: "a worker")
        #expect(group.outcome == .warning && group.found.contains("control group"))
        let little = Finding.memory(Self.machine(available: 300 << 20), needed: 1 << 30, what: "a worker")
        #expect(little.outcome == .failed && little.exitCode == 1)
        #expect(Finding.memory(Self.machine(available: nil), needed: nil, what: "a worker").outcome == .warning)
    }

    @Test func diskFilesAndClock() {
        #expect(Finding.disk("/s", free: 10 << 30, needed: 1 << 30).outcome == .ok)
        #expect(Finding.disk("/s", free: 1 << 20, needed: 1 << 30).exitCode == 8)
        #expect(Finding.disk("/s", free: 1 << 20, needed: nil).outcome == .warning)
        #expect(Finding.openFiles(Self.machine(files: 64), needed: 256).outcome == .warning)
        #expect(Finding.openFiles(Self.machine(), needed: 256).outcome == .ok)
        #expect(Finding.clock(Self.machine()).outcome == .ok)
        #expect(Finding.clock(Self.machine(clock: false)).outcome == .warning)
        #expect(Finding.clock(Self.machine(time: 12)).outcome == .warning)
    }

    @Test func figuresOfTheKernelAreRead() {
        #expect(MachineFacts.available(inMemoryInfo: "MemTotal: 9 kB\nMemAvailable:   2048 kB\n") == 2 << 20)
        #expect(MachineFacts.available(inMemoryInfo: "MemAvailable: lots\n") == nil)
        #expect(MachineFacts.available(inMemoryInfo: nil) == nil)
        let files = [
            "/sys/fs/cgroup/a/b/memory.max": "1000\n", "/sys/fs/cgroup/a/b/memory.current": "900\n",
            "/sys/fs/cgroup/a/memory.max": "max\n", "/sys/fs/cgroup/memory.max": "5000",
        ]
        #expect(MachineFacts.roomInGroup("0::/a/b\n") { files[$0] } == 100)
        #expect(MachineFacts.roomInGroup("0::/\n") { files[$0] } == 5000)
        #expect(MachineFacts.roomInGroup("0::/elsewhere\n") { _ in nil } == nil)
        let older = [
            "/sys/fs/cgroup/memory/c/memory.limit_in_bytes": "4096",
            "/sys/fs/cgroup/memory/c/memory.usage_in_bytes": "4097",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        ]
        #expect(MachineFacts.roomInGroup("3:cpu:/c\n5:memory:/c\n") { older[$0] } == 0)
    }

    @Test func thisMachineIsRead() throws {
        let machine = MachineFacts()
        #expect(try #require(machine.availableMemory) > 0)
        #expect(try #require(machine.openFiles) > 3)
        let free = try #require(
            MachineFacts.freeDisk(of: FileManager.default.temporaryDirectory.path + "/not/there/yet"))
        #expect(free >= 0)
    }
}
