import Federation

/// What is expected of bytes, time, memory and disk. Each sentence says that it is an estimate, and of what it is made.
enum EstimateWords {
    static func stage(_ forecast: RunForecast, _ index: Int, _ duration: RunDuration?) -> [String] {
        let stage = forecast.stages[index]
        let rounds = stage.rounds.map { rounds in
            "\(Figures.counted(rounds.count, "round")) of \(rounds.task) at \(mean(rounds.bytesUp, rounds.count)) up and "
                + "\(mean(rounds.bytesDown, rounds.count)) down"
        }
        var words =
            "Estimated, a worker: " + rounds.joined(separator: "; ") + "; in all \(Figures.bytes(stage.bytesUp)) up, "
            + "\(Figures.bytes(stage.bytesDown)) down"
        if let duration, duration.seconds.indices.contains(index) {
            words += ", about \(Figures.seconds(duration.seconds[index])) of computing"
        }
        words += ". At its end: \(Figures.count(stage.parameters)) parameters"
        if stage.deadShare > 0 { words += ", \(Figures.percent(stage.deadShare)) of them masked" }
        if let macs = stage.macs { words += ", \(Figures.amount(macs)) multiply-accumulates" }
        if let file = stage.fileBytes { words += ", a file of \(Figures.bytes(file))" }
        return [words + "."]
    }

    private static func mean(_ bytes: Int, _ count: Int) -> String { Figures.bytes(bytes / max(1, count)) }

    static func whole(_ plan: Plan, _ forecast: RunForecast, _ duration: RunDuration?) -> [String] {
        let (up, down) = (forecast.bytesUp, forecast.bytesDown)
        var bytes =
            "Bytes: about \(Figures.bytes(up)) up and \(Figures.bytes(down)) down over \(Figures.counted(forecast.workers, "worker")) and "
            + "\(Figures.counted(forecast.rounds, "round"))"
        if forecast.bytesFloat32 > 0, up + down > 0 {
            let ratio = Double(forecast.bytesFloat32) / Double(up + down)
            bytes +=
                "; float32 averaging of the same training rounds would take \(Figures.bytes(forecast.bytesFloat32)) "
                + "(\(Figures.factor(ratio)) as much)"
        }
        bytes +=
            ". Made by encoding noise of the model's shapes with the plan's own schemes, for a fleet in which every worker takes part in every "
            + "round and nobody joins late."
        var words = [bytes, time(plan, forecast, duration)]
        words.append(
            "Memory: about \(Figures.bytes(forecast.coordinatorMemoryBytes)) for the coordinator and "
                + "\(Figures.bytes(forecast.workerMemoryBytes)) for a worker. Disk: about \(Figures.bytes(forecast.coordinatorDiskBytes)) and "
                + "\(Figures.bytes(forecast.workerDiskBytes)). All rough, on the large side.")
        return words + forecast.remarks
    }

    private static func time(_ plan: Plan, _ forecast: RunForecast, _ duration: RunDuration?) -> String {
        let formula =
            "multiply-accumulates (training: 3 for each of a forward pass) over a rate, without transfers, waiting and the coordinator's own work"
        guard let duration else {
            return
                "Time: not estimated, because the size of a worker's shard is not known here: give --samples N. It would be \(formula)."
        }
        let source =
            switch duration.basis {
            case .measured: "measured by training steps of this model on this machine"
            case .given: "as given by --rate"
            case .assumed:
                "an assumption for one thread of a recent processor; --measure times this machine, --rate says another"
            }
        return
            "Time: about \(Figures.seconds(duration.total)) of computing for each worker that has a machine of its own, with "
            + "\(Figures.count(duration.trainingSamples)) training and \(Figures.count(duration.testSamples)) test samples; workers that share "
            + "processors take as many times longer. Formula: \(formula). Rate: \(Figures.amount(Int(clamping: Int64(min(duration.rate, 9e18))))) a "
            + "second, \(source)."
    }
}
