-- AlterTable
ALTER TABLE "webhook_delivery" ADD COLUMN     "fault_since" TIMESTAMPTZ(3);

-- CreateIndex
CREATE INDEX "webhook_delivery_shaped_idx" ON "webhook_delivery"("message_id") WHERE (body is not null);
