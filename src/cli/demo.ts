/**
 * `npm run demo`: demonstrates the product with a real repository, over its public API only, and reports for each part whether it passed. The
 * chapters are in demo/. Of the server's code, only the names of its settings are used, and the way to its database to falsify the audit log.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { chapter as access } from './demo/access.ts'
import { chapter as config } from './demo/config.ts'
import { chapter as main } from './demo/main.ts'
import { Report } from './demo/report.ts'
import { chapter as resources } from './demo/resources.ts'
import { chapter as rest } from './demo/rest.ts'
import { graphqlUrlOf, openServer } from './demo/server.ts'
import { type Chapter, openStage } from './demo/stage.ts'
import { chapter as webhooks } from './demo/webhooks.ts'

const chapters: Record<string, Chapter> = { main, config, webhooks, resources, access, rest }

const help = `npm run demo [-- [chapter] [--url <server URL> --key <API key>]]

Chapters:
${Object.entries(chapters)
  .map(([name, { about }]) => `  ${name.padEnd(10)}${about}`)
  .join('\n')}

The default chapter is main. Without --url, the demo starts its own server, with an empty database in a temporary folder and its own
ports, and removes them at its end. A server given with --url must run on this machine in development mode (or allow 127.0.0.0/8 in
EGRESS_ALLOW and the temporary folder in GIT_FILE_ROOTS), because it reads a repository from here and calls a receiver on 127.0.0.1.
There, the demo creates one project and deletes it with its contents.

Exit code 0: every part passed. 1: a part failed. 2: the arguments are not valid. 130: interrupted by Ctrl-C.`

/** Time for an interrupted part to end. */
const settleMs = 2_000

type Call = { chapter: Chapter; given?: { url: string; key: string } }

function readCall(): Call | null {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { url: { type: 'string' }, key: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) return null
  const [name = 'main', ...more] = positionals
  const chapter = Object.hasOwn(chapters, name) ? chapters[name] : undefined
  if (!chapter || more.length > 0) throw new TypeError(`The chapter ${positionals.join(' ')} does not exist.`)
  if ((values.url === undefined) !== (values.key === undefined)) throw new TypeError('--url and --key must be given together.')
  if (values.url !== undefined && chapter.needsOwnServer) throw new TypeError(`The chapter ${name} needs the demo's own server.`)
  return { chapter, ...(values.url !== undefined && values.key ? { given: { url: graphqlUrlOf(values.url), key: values.key } } : {}) }
}

/** Runs until the end or Ctrl-C, and cleans up in both cases. */
async function run({ chapter, given }: Call): Promise<number> {
  const report = new Report()
  const undo: (() => Promise<unknown>)[] = []
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve('interrupted'))
  })
  const show = async () => {
    const server = await openServer(given, undo, report)
    const stage = await openStage(server, undo, report)
    await report.run(chapter.parts(stage))
  }
  const shown = show().then(
    () => 'shown' as const,
    (error: unknown) => {
      report.broke(error)
      return 'broken' as const
    },
  )
  const crashed = new Promise<'broken'>((resolve) =>
    process.on('uncaughtException', (error) => {
      report.broke(error)
      resolve('broken')
    }),
  )
  const outcome = await Promise.race([interrupted, shown, crashed])
  report.stop()
  const left = await cleanUp(undo)
  // An interrupted part may have created something in the meantime.
  await Promise.race([shown, pause(settleMs)])
  left.push(...(await cleanUp(undo)))
  report.print(left)
  if (outcome === 'interrupted') return 130
  return outcome === 'shown' && report.passed && left.length === 0 ? 0 : 1
}

/** Runs the steps in reverse order, all of them even if one fails. Returns the messages of those that failed. */
async function cleanUp(undo: (() => Promise<unknown>)[]): Promise<string[]> {
  const failed: string[] = []
  for (let step = undo.pop(); step; step = undo.pop()) await step().catch((error: Error) => failed.push(error.message))
  return failed
}

// The reader of the output may have exited (`| head`); the demo still cleans up.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

let call: Call | null = null
try {
  call = readCall()
  if (call === null) console.log(help)
} catch (error) {
  console.error(`${(error as Error).message}\n\n${help}`)
  process.exit(2)
}
// Exits explicitly, because sockets of a failed part may still be open.
if (call) process.exit(await run(call))
