/** The three snippets of the bridge's document, as they stand there, against a listening server. */
import { execFile } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bridge, startBridge } from './bridge-support.ts'

let bridge: Bridge
let origin: string
let key: string
beforeAll(async () => {
  bridge = await startBridge()
  await bridge.server.listen({ port: 0, host: '127.0.0.1' })
  origin = `http://127.0.0.1:${(bridge.server.server.address() as AddressInfo).port}`
  key = await bridge.key()
})
afterAll(() => bridge?.close())

const fetchSnippet = `fetch(window.location.origin + '/call', {
  method: 'POST',
  headers: {
    'Content-Type': 'application/json',
    'X-API-KEY': 'YOUR_API_KEY'
  },
  body: JSON.stringify({
    model: 'sale.order',
    method: 'search_read',
    args: [[]],
    kwargs: { limit: 5, fields: ['name', 'state'] }
  })
})
.then(res => res.json())
.then(data => console.log(data));`

const appsScriptSnippet = `function apiExecuteGateway(model, method, args) {
  var url = window.location.origin + "/call"; 
  var payload = { "model": model, "method": method, "args": args };
  var options = {
    "method": "post",
    "headers": { "Content-Type": "application/json", "X-API-KEY": "YOUR_API_KEY" },
    "payload": JSON.stringify(payload),
    "muteHttpExceptions": true
  };
  var response = UrlFetchApp.fetch(url, options);
  var json = JSON.parse(response.getContentText());
  if (!json.success) throw new Error(json.error || "API Error");
  return json.data;
}`

const curlSnippet = `curl -X POST https://your-domain.com/call \\
  -H "Content-Type: application/json" \\
  -H "X-API-KEY: YOUR_API_KEY" \\
  -d '{
    "model": "sale.order",
    "method": "search_read",
    "args": [[]],
    "kwargs": { "limit": 5, "fields": ["name"] }
  }'`

const exec = promisify(execFile)
const withKey = (snippet: string) => snippet.replace('YOUR_API_KEY', key)

it('fetch', async () => {
  const logged = Promise.withResolvers<unknown>()
  const run = new Function('window', 'console', withKey(fetchSnippet))
  run({ location: { origin } }, { log: logged.resolve })
  expect(await logged.promise).toMatchObject({
    success: true,
    data: { length: 5, 0: { id: 1, name: 'S00001', state: 'sale' } },
    error: null,
  })
})

it('curl', async () => {
  const { stdout } = await exec('bash', ['-c', withKey(curlSnippet).replace('https://your-domain.com', origin)])
  expect(JSON.parse(stdout)).toMatchObject({ success: true, data: { length: 5, 0: { id: 1, name: 'S00001' } }, error: null })
})

describe('Apps Script', () => {
  type Options = { method: string; headers: Record<string, string>; payload: string }
  /** Apps Script waits for its requests, so each snippet is run again with the answers to those that it has made so far. */
  async function runScript(call: string): Promise<unknown> {
    const answers: string[] = []
    for (;;) {
      let asked: { url: string; options: Options } | undefined
      let next = 0
      const UrlFetchApp = {
        fetch(url: string, options: Options) {
          const answer = answers[next++]
          if (answer !== undefined) return { getContentText: () => answer }
          asked = { url, options }
          throw new Error('not answered yet')
        },
      }
      try {
        return new Function('window', 'UrlFetchApp', `${withKey(appsScriptSnippet)}\nreturn ${call}`)({ location: { origin } }, UrlFetchApp)
      } catch (error) {
        if (!asked) throw error
      }
      const { url, options } = asked
      answers.push(await (await fetch(url, { method: options.method, headers: options.headers, body: options.payload })).text())
    }
  }

  it('returns the data', async () => {
    expect(await runScript("apiExecuteGateway('res.partner', 'search_read', [[['id', '=', 1]], ['name']])")).toEqual([
      { id: 1, name: 'Azure Interior' },
    ])
  })

  it('throws the message of Odoo', async () => {
    await expect(runScript("apiExecuteGateway('no.model', 'read', [[1]])")).rejects.toThrow("Object no.model doesn't exist")
  })
})
