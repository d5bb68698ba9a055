import { expect, test } from 'vitest'
import { chatBody } from '../../../src/domain/webhooks/attempt/chat.ts'

test('a text that is cut holds no half of a character, wherever the cut falls', () => {
  for (const lead of ['', 'x']) {
    const data = { name: lead + '🚀'.repeat(2_000) }
    const { content } = JSON.parse(chatBody('DISCORD', { type: 'project.updated', timestamp: '2026-01-01T00:00:00.000Z', data }))
    expect(content.isWellFormed()).toBe(true)
    expect(content).toMatch(/🚀…$/u)
    expect(content.length).toBeGreaterThanOrEqual(1_999)
    expect(content.length).toBeLessThanOrEqual(2_000)
  }
})
