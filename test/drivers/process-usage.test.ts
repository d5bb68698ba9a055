/** What running instances use, measured with all their processes. */
import { describe, expect, it } from 'vitest'
import type { Runtime } from '../../src/domain/deploys/instance/ports.ts'
import type { Usage } from '../../src/platform/usage.ts'
import { modes, observe, openRuntime, pidsRunning, startCommand, uniqueSleep, until, untilRunning } from './process-support.ts'

const worker = { kind: 'worker' } as const

async function usageOf(runtime: Runtime, instanceId: string): Promise<Usage | null> {
  const measured = await runtime.measure([instanceId])
  return measured!.usage[0]!
}

/** Uses 200 ms of CPU time, however busy the machine is. */
const burn = `node -e "while (process.cpuUsage().user < 200_000);"`

const millicoresBetween = (former: Usage, usage: Usage): number =>
  ((usage.cpuMs - former.cpuMs) / (usage.uptimeMs - former.uptimeMs)) * 1_000

describe.each(modes)('the usage of an instance (%s)', (sandbox) => {
  it('is the CPU time of one core while a descendant of its first process burns one', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const id = await startCommand(runtime, 'sh -c "sh -c \'while :; do :; done\' & wait"', worker)
    const first = (await usageOf(runtime, id))!
    let usage = first
    // How long that takes depends on what else the machine does.
    await until(async () => {
      usage = (await usageOf(runtime, id))!
      return usage.cpuMs >= first.cpuMs + 1_000
    })
    expect(millicoresBetween(first, usage)).toBeLessThan(1_100)
    const { capacity } = (await runtime.measure([id]))!
    expect(capacity!.millicores % 1_000).toBe(0)
    expect(capacity!.memoryBytes).toBeGreaterThan(2 ** 28)
  })

  it('does not grow while it sleeps', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const command = uniqueSleep()
    const id = await startCommand(runtime, `exec ${command}`, worker)
    await untilRunning(command)
    const first = (await usageOf(runtime, id))!
    await until(async () => (await usageOf(runtime, id))!.uptimeMs > first.uptimeMs + 500)
    expect((await usageOf(runtime, id))!.cpuMs).toBeLessThanOrEqual(first.cpuMs + 20)
  })

  it('includes the CPU time of processes that have exited', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const last = uniqueSleep()
    const id = await startCommand(runtime, `${burn}; ${burn}; exec ${last}`, worker)
    await untilRunning(last)
    expect((await usageOf(runtime, id))!.cpuMs).toBeGreaterThanOrEqual(400)
  })

  it('contains the memory of all its processes, as it grows', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const grow = `node -e "const kept = []; setInterval(() => { if (kept.length < 20) kept.push(Buffer.alloc(4 << 20, 1)) }, 20)"`
    const id = await startCommand(runtime, `${grow} & ${grow} & wait`, worker)
    let smallest = Number.POSITIVE_INFINITY
    await until(async () => {
      const { memoryBytes } = (await usageOf(runtime, id))!
      smallest = Math.min(smallest, memoryBytes)
      return memoryBytes > smallest + (100 << 20)
    })
  })

  it('begins anew when the instance is started again', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const id = await startCommand(runtime, `${burn}; exec sleep 1000`, worker)
    await until(async () => (await usageOf(runtime, id))!.cpuMs >= 200)
    const before = (await usageOf(runtime, id))!
    await runtime.stop(id, { graceMs: 0 })
    expect(await usageOf(runtime, id)).toBeNull()
    const { digests } = await runtime.kept()
    const request = {
      instanceId: id,
      serviceId: id,
      deploymentId: id,
      digest: digests[0]!,
      ...worker,
      startCommand: 'exec sleep 1000',
      env: {},
      disks: [],
    }
    await runtime.start(request)
    await observe(runtime, id)
    const after = (await usageOf(runtime, id))!
    expect(after.run).not.toBe(before.run)
    expect(after.cpuMs).toBeLessThan(200)
  })

  it('is null once its processes have died, also before that was observed', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const command = uniqueSleep()
    const id = await startCommand(runtime, `exec ${command}`, worker)
    await untilRunning(command)
    await observe(runtime, id)
    expect(await usageOf(runtime, id)).not.toBeNull()
    for (const pid of (await pidsRunning(command)).reverse()) process.kill(pid, 'SIGKILL')
    await until(async () => (await usageOf(runtime, id)) === null)
    expect((await runtime.measure(['00000000-0000-7000-8000-000000000000', id]))!.usage).toEqual([null, null])
  })

  it('is measured by a process that has not observed it', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const id = await startCommand(runtime, 'exec sleep 1000', worker)
    const { runtime: other } = await openRuntime({ sandbox, dataDir })
    const [ours, its] = [await usageOf(runtime, id), await usageOf(other, id)]
    expect(its!.run).toBe(ours!.run)
    expect(its!.memoryBytes).toBeGreaterThan(0)
  })
})
