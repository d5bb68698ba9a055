import { expect, it } from 'vitest'
import { graphqlUrlOf } from '../../src/cli/demo/server.ts'

it.each([
  ['http://127.0.0.1:4000', 'http://127.0.0.1:4000/graphql'],
  ['http://127.0.0.1:4000/', 'http://127.0.0.1:4000/graphql'],
  ['http://127.0.0.1:4000/graphql', 'http://127.0.0.1:4000/graphql'],
  ['http://127.0.0.1:4000/graphql/', 'http://127.0.0.1:4000/graphql'],
  ['https://example.com/quayside', 'https://example.com/quayside/graphql'],
])('the demo accepts the address %s of a server', (given, url) => {
  expect(graphqlUrlOf(given)).toBe(url)
})

it.each(['', '127.0.0.1:4000', 'localhost:4000', 'ftp://127.0.0.1'])('the demo refuses the address "%s"', (given) => {
  expect(() => graphqlUrlOf(given)).toThrow('--url must be')
})
