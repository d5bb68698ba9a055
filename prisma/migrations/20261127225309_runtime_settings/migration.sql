-- CreateTable
CREATE TABLE "runtime_setting" (
    "name" TEXT NOT NULL,
    "value" JSON NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "runtime_setting_pkey" PRIMARY KEY ("name")
);

-- CreateIndex
CREATE INDEX "webhook_delivery_exhausted_idx" ON "webhook_delivery"("message_id") WHERE (status = 'EXHAUSTED');
