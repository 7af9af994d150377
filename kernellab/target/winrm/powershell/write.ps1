# Writes settings: $asked.items, each as read.ps1 has it, with value (null: remove it) and, for the
# registry, type.
param($asked, $data)
$ErrorActionPreference = 'Stop'

function Invoke-BootEdit([string[]]$words) {
    $said = & "$env:SystemRoot\System32\bcdedit.exe" $words 2>&1 | Out-String
    if ($LASTEXITCODE -ne 0) { throw ('bcdedit: ' + $said.Trim()) }
}

function Write-Setting($item) {
    switch ($item.kind) {
        'registry' {
            if ($null -eq $item.value) {
                Remove-ItemProperty -LiteralPath $item.path -Name $item.name -ErrorAction SilentlyContinue
                return
            }
            if (-not (Test-Path -LiteralPath $item.path)) {
                New-Item -Force -Path $item.path | Out-Null
            }
            New-ItemProperty -Force -LiteralPath $item.path -Name $item.name -PropertyType $item.type -Value $item.value | Out-Null
        }
        'wsman' {
            if ($null -ne $item.value) {
                Set-Item -Force -Path ('WSMan:\localhost\' + $item.name) -Value $item.value
            }
        }
        'certificate' {
            $store = New-Object System.Security.Cryptography.X509Certificates.X509Store $item.path, 'LocalMachine'
            $store.Open('ReadWrite')
            try {
                if ($null -eq $item.value) {
                    foreach ($each in $store.Certificates.Find('FindByThumbprint', $item.name, $false)) {
                        $store.Remove($each)
                    }
                } else {
                    $bytes = [Convert]::FromBase64String($item.value)
                    $store.Add((New-Object System.Security.Cryptography.X509Certificates.X509Certificate2 (, $bytes)))
                }
            } finally {
                $store.Close()
            }
        }
        'bcd' {
            if ($null -eq $item.value) {
                Invoke-BootEdit '/deletevalue', '{current}', $item.name
            } else {
                Invoke-BootEdit '/set', '{current}', $item.name, $item.value
            }
        }
        'folder' {
            # The one folder that is kernellab's own, whatever is asked.
            Remove-Item -Recurse -Force -LiteralPath 'C:\ProgramData\kernellab' -ErrorAction SilentlyContinue
        }
        default { throw ('unknown kind ' + $item.kind) }
    }
}

$written = 0
foreach ($item in $asked.items) {
    try {
        Write-Setting $item
    } catch {
        throw ($item.name + ': ' + $_.Exception.Message)
    }
    $written += 1
}
@{ written = $written }
