/** The thread in which `migrate` runs the schema engine: its WebAssembly takes 60 MB, which are freed when the thread ends. */
import { parentPort, workerData } from 'node:worker_threads'
import type { MigrationList } from '@prisma/schema-engine-wasm'
import { openSchemaEngine } from './schema-engine.ts'

const { url, known } = workerData as { url: string; known: MigrationList }

const engine = await openSchemaEngine(url)
const names = await engine.applyMigrations(known).finally(() => engine.close())
parentPort!.postMessage(names)
