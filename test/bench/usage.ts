/** CPU time to measure 1,000 instances of two processes each, from one pass over the process table. Required: under 1 % of a core, every 10 s. */
import { type ChildProcess, spawn } from 'node:child_process'
import { markOf } from '../../src/platform/process-mark.ts'
import { readProcessTree } from '../../src/platform/process-usage.ts'
import type { BenchResult } from './run.ts'

const instances = 1_000
const rounds = 15
const mostMs = 100

export default async function usage(): Promise<BenchResult> {
  const children: ChildProcess[] = []
  try {
    const rows = []
    for (const count of [1, instances]) {
      while (children.length < count) children.push(await begin())
      const roots = children.map(({ pid }) => markOf(pid!)!)
      const times: number[] = []
      for (let round = 0; round < rounds; round++) {
        const before = process.cpuUsage()
        const tree = await readProcessTree()
        if (roots.some((root) => tree.usage(root) === null)) throw new Error('a process was not measured')
        const { user, system } = process.cpuUsage(before)
        times.push((user + system) / 1_000)
      }
      times.sort((a, b) => a - b)
      rows.push({
        instances: count,
        'ms CPU (median)': Number(times[Math.floor(rounds / 2)]!.toFixed(1)),
        'ms CPU (most)': Number(times.at(-1)!.toFixed(1)),
      })
    }
    return { scenario: 'usage', rows, passed: rows.at(-1)!['ms CPU (median)'] < mostMs }
  } finally {
    for (const { pid } of children) process.kill(-pid!, 'SIGKILL')
  }
}

/** A shell with a child. Resolves when both run. */
function begin(): Promise<ChildProcess> {
  const child = spawn('/bin/sh', ['-c', 'sleep 1000 & echo; wait'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.stdout!.once('data', () => resolve(child))
  })
}
