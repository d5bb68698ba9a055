import { afterEach, expect, it } from 'vitest'
import { type Receiver, type ReceiverScript, startReceiver } from './receiver.ts'

let receiver: Receiver | undefined
afterEach(() => receiver?.close())

const start = async (script?: ReceiverScript) => {
  receiver = await startReceiver({ script })
  return receiver
}
const post = (url: string, body: string) => fetch(url, { method: 'POST', body, headers: { connection: 'close' } })

it('records each request and answers it as scripted', async () => {
  const { url, requests } = await start((request, n) => ({ status: 200 + n, body: request.body }))
  expect((await post(`${url}/a`, 'one')).status).toBe(201)
  expect(await (await post(`${url}/b?c=d`, 'two')).text()).toBe('two')
  expect(requests.map(({ method, path, body }) => `${method} ${path} ${body}`)).toEqual(['POST /a one', 'POST /b?c=d two'])
})

it('delays an answer, and shows the request meanwhile', async () => {
  let release = () => {}
  const delayUntil = new Promise<void>((resolve) => {
    release = resolve
  })
  const { url, waitFor } = await start(() => ({ status: 204, delayUntil }))
  let isAnswered = false
  const answer = post(url, '').then(() => {
    isAnswered = true
  })
  await waitFor(1)
  expect(isAnswered).toBe(false)
  release()
  await answer
  expect(isAnswered).toBe(true)
})

it('waits for a number of requests or for a condition, and rejects on timeout', async () => {
  const { url, waitFor } = await start()
  const both = Promise.all([waitFor(2), waitFor((requests) => requests.some(({ body }) => body.toString() === 'two'))])
  await post(url, 'one')
  await post(url, 'two')
  expect((await both).map((requests) => requests.length)).toEqual([2, 2])
  await expect(waitFor(3, 20)).rejects.toThrow('2 requests')
})

it('closes while an answer is delayed, and refuses connections afterwards', async () => {
  const { url, waitFor, close } = await start(() => ({ status: 204, delayUntil: new Promise(() => {}) }))
  const answer = post(url, '').catch((error: unknown) => error)
  await waitFor(1)
  await close()
  expect(await answer).toBeInstanceOf(Error)
  await expect(post(url, '')).rejects.toThrow('fetch failed')
})
