/** A control plane in its own process, for tests that kill it. Reads requests as JSON lines from its input and writes responses to its output. */
import { createInterface } from 'node:readline'
import type { BuildRequest, ProbeRequest, StartRequest } from '../../src/domain/deploys/instance/ports.ts'
import { createProcessRuntime, type ProcessRuntimeOptions } from '../../src/drivers/process/index.ts'
import { fileSource } from './process-source.ts'

export type Order =
  | { open: ProcessRuntimeOptions }
  | { build: Omit<BuildRequest, 'source'>; files: Record<string, string> }
  | { start: StartRequest }
  | { probe: ProbeRequest }
  | { forget: string }
  | { list: true }

type Runtime = Awaited<ReturnType<typeof createProcessRuntime>>
let runtime: Runtime | undefined

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order
  try {
    process.stdout.write(`${JSON.stringify({ result: (await execute(order)) ?? null })}\n`)
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error), code: (error as { code?: string }).code })}\n`)
  }
}

async function execute(order: Order): Promise<unknown> {
  if ('open' in order) {
    runtime = await createProcessRuntime(order.open)
    return runtime.sandbox
  }
  if (runtime === undefined) throw new Error('Not opened yet')
  if ('start' in order) return await runtime.start(order.start)
  if ('probe' in order) return await runtime.probe(order.probe)
  if ('forget' in order) return await runtime.forget(order.forget)
  if ('list' in order) return await runtime.list()
  const io = { output: () => undefined, signal: new AbortController().signal }
  return await runtime.build({ ...order.build, source: fileSource(order.files) }, io)
}
