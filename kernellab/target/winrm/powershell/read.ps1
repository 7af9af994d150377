# Reads settings and changes nothing. $asked.items have kind, path and name; the answer has facts,
# and values in the same order, null where there is none.
param($asked, $data)
$ErrorActionPreference = 'Stop'

function Read-BootSetting($name) {
    # bcdedit's words are translated, what the registry keeps is not. 16000049 is testsigning.
    $text = & "$env:SystemRoot\System32\bcdedit.exe" /enum '{current}' /v | Out-String
    if ($text -notmatch '\{[0-9a-fA-F-]{36}\}') { return $null }
    $elements = @{ testsigning = '16000049' }
    $key = 'HKLM:\BCD00000000\Objects\' + $Matches[0] + '\Elements\' + $elements[$name]
    $found = Get-ItemProperty -LiteralPath $key -Name Element -ErrorAction SilentlyContinue
    if ($null -eq $found) { return $null }
    if ($found.Element[0] -eq 0) { return 'off' }
    return 'on'
}

function Read-Setting($item) {
    switch ($item.kind) {
        'registry' {
            $found = Get-ItemProperty -LiteralPath $item.path -Name $item.name -ErrorAction SilentlyContinue
            if ($null -eq $found) { return $null }
            return $found.($item.name)
        }
        'wsman' {
            $found = Get-Item -Path ('WSMan:\localhost\' + $item.name) -ErrorAction SilentlyContinue
            if ($null -eq $found) { return $null }
            return [string]$found.Value
        }
        'certificate' {
            $path = 'Cert:\LocalMachine\' + $item.path + '\' + $item.name
            if (Test-Path -LiteralPath $path) { return 'present' }
            return $null
        }
        'bcd' { return Read-BootSetting $item.name }
        default { throw ('unknown kind ' + $item.kind) }
    }
}

$system = Get-CimInstance -ClassName Win32_OperatingSystem
$control = 'HKLM:\SYSTEM\CurrentControlSet\Control'
$secure = Get-ItemProperty -LiteralPath ($control + '\SecureBoot\State') -Name UEFISecureBootEnabled -ErrorAction SilentlyContinue
$options = Get-ItemProperty -LiteralPath $control -Name SystemStartOptions -ErrorAction SilentlyContinue
$guard = Get-CimInstance -Namespace 'root\Microsoft\Windows\DeviceGuard' -ClassName Win32_DeviceGuard -ErrorAction SilentlyContinue
$user = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
$drive = New-Object System.IO.DriveInfo ($env:SystemDrive)
$values = New-Object System.Collections.ArrayList
foreach ($item in $asked.items) { [void]$values.Add((Read-Setting $item)) }
@{
    facts = @{
        system = [string]$system.Caption
        version = [string]$system.Version
        architecture = [string]$env:PROCESSOR_ARCHITECTURE
        powershell = $PSVersionTable.PSVersion.ToString()
        administrator = $user.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
        secure_boot = ($null -ne $secure -and $secure.UEFISecureBootEnabled -eq 1)
        memory_integrity_runs = ($null -ne $guard -and $guard.SecurityServicesRunning -contains 2)
        start_options = [string]$options.SystemStartOptions
        free_bytes = $drive.AvailableFreeSpace
        boot_time = $system.LastBootUpTime.ToUniversalTime().ToString('o')
        clock = [DateTime]::UtcNow.ToString('o')
    }
    values = $values
}
